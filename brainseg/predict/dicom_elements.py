"""Whether a DICOM file's elements end within it, which is asked before GDCM reads it.

GDCM takes memory for whatever length an element claims, gigabytes for a few damaged bytes.
"""

import struct
from pathlib import Path

_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # 4 bytes of length
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_UNDEFINED = 2**32 - 1
_SYNTAX, _PIXELS = (0x0002, 0x0010), (0x7FE0, 0x0010)
_IMPLICIT, _OTHERS = b"1.2.840.10008.1.2", (b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99")


def refuse_overlong(path: Path) -> bool:
    """Walk through all elements, nested ones too (DICOM PS3.5, sections 7.1 and 7.5).

    Args:
        path: a file that begins as DICOM does.

    Returns:
        Whether there are pixels.

    Raises:
        ValueError: the file is damaged; or is big-endian or deflated, which is not read.
    """
    raw = path.read_bytes()
    found = False
    at, syntax, explicit, pixels = 132, b"", True, False
    outer: list[bool] = []  # of each sequence of undefined length, how what is around it is written
    try:
        while at < len(raw):
            tag = struct.unpack_from("<HH", raw, at)
            if tag[0] != 2 and syntax:  # the first element behind the file's own header
                explicit, syntax = syntax != _IMPLICIT, b""
            kind, length, begin = _header(raw, at, explicit=explicit and tag[0] != 0xFFFE)
            if length != _UNDEFINED and begin + length > len(raw):
                raise ValueError(f"element {tag[0]:04X},{tag[1]:04X} reaches beyond the file")
            at = begin
            found |= tag == _PIXELS
            if tag == (0xFFFE, 0xE0DD):
                explicit, pixels = outer.pop() if outer else explicit, False
            elif length == _UNDEFINED and tag[0] != 0xFFFE:
                outer.append(explicit)
                explicit, pixels = explicit and kind != b"UN", tag == _PIXELS
            elif (tag[0] != 0xFFFE or pixels) and kind != b"SQ" and length != _UNDEFINED:
                at += length  # everything else is walked into
            if tag == _SYNTAX:
                syntax = raw[begin : begin + length].strip(b"\0 ")
                if syntax in _OTHERS:
                    raise ValueError("big-endian or deflated, which is not read: convert it")
    except struct.error as error:
        raise ValueError("it ends within an element") from error
    return found


def _header(raw: bytes, at: int, *, explicit: bool) -> tuple[bytes, int, int]:
    """An element's value representation (empty: none is given), length, and where it begins."""
    if not explicit:
        return b"", struct.unpack_from("<I", raw, at + 4)[0], at + 8
    kind = raw[at + 4 : at + 6]
    if kind in _LONG:
        return kind, struct.unpack_from("<I", raw, at + 8)[0], at + 12
    if kind not in _SHORT:
        raise ValueError(f"at byte {at} no element begins")
    return kind, struct.unpack_from("<H", raw, at + 6)[0], at + 8
