"""Files by pattern: what `*` stands for in their names."""

import re
from pathlib import Path

NIFTI = (".nii.gz", ".nii")
PLACE = "MODALITY"

Key = tuple[str, ...]  # the folder where it counts, else nothing; then what each `*` stands for


class Pattern:
    """What `*` stands for in a path, or None where the path is not like the pattern.

    With a slash it is compared with the path below the root, else with the file's name, and then
    the file's folder is a part of what it stands for. `.*` at its end is any ending.
    """

    def __init__(self, pattern: str) -> None:
        self.whole = "/" in pattern
        words = {"**/": "(?:(.*)/)?", "*": "([^/]*)", "?": "([^/])"}
        parts = re.split(r"(\*\*/|\*|\?)", pattern.removesuffix(".*"))
        ending = r"\.(?:nii\.gz|[^./]+)" if pattern.endswith(".*") else ""
        self.expression = re.compile("".join(words.get(p, re.escape(p)) for p in parts) + ending)

    def __call__(self, path: Path, top: Path) -> Key | None:
        """Of a file below `top`."""
        below = path.relative_to(top)
        found = self.expression.fullmatch(below.as_posix() if self.whole else path.name)
        if found is None:
            return None
        where = "" if self.whole else below.parent.as_posix()
        return (where, *(group or "" for group in found.groups()))
