"""Files by pattern: what `*` stands for in their names."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from brainseg.data.folders import walk

NIFTI = (".nii.gz", ".nii")
PLACE = "MODALITY"

Key = tuple[str, ...]  # the folder where it counts, else nothing; then what each `*` stands for
Pair = dict[str, Path]  # modality, or `mask`, to its file


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


def paired(
    top: Path, patterns: Mapping[str, Pattern]
) -> tuple[dict[Key, Pair], list[str], list[str], int]:
    """Files below `top` by what the patterns share; problems, other files, files of the system.

    Args:
        top: a folder.
        patterns: of modalities, then of the mask, which a file is where it is like both.
    """
    pairs: dict[Key, Pair] = defaultdict(dict)
    problems, other, system = list[str](), list[str](), 0
    for folder in walk(top):
        problems += [f"{folder.path}: {folder.problem}"] if folder.problem else []
        system += folder.system
        for file in folder.files:
            path = folder.path / file
            found = [(name, key) for name, each in patterns.items() if (key := each(path, top))]
            if not found:
                other.append(file)
                continue
            name, key = found[-1]
            if name in pairs[key]:
                problems.append(f"{path}: is there twice, as {pairs[key][name]}")
            pairs[key].setdefault(name, path)
    return pairs, problems, other, system
