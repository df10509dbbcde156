"""One call of the command: every case read, segmented, written and reported, each by itself."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brainseg.errors import reason
from brainseg.hardware import use_threads
from brainseg.predict import report
from brainseg.predict.cases import Case
from brainseg.predict.dicomseg import NEEDED, write_dicom_seg
from brainseg.predict.features import unlike
from brainseg.predict.load import load
from brainseg.predict.segmenter import Segmenter, calibrated

USE = "research only, not a medical device"


def run(options: argparse.Namespace, words: Sequence[str]) -> bool:
    """Segment all cases of a command line; whether each of them is done.

    Raises:
        ValueError: the command cannot be done as it is; nothing was written.
    """
    if options.dicom_seg and not find_spec("highdicom"):
        raise ValueError(NEEDED)
    use_threads()
    segmenter = load(options.weights, device=options.device)
    cases, left_out = _cases(options, segmenter)
    before = _before(options)
    kept = dict(before) if options.resume else {}
    for line in (*segmenter.licences, USE, *_left_out(left_out)):
        say(line)
    start = time.perf_counter()
    head = {
        "command": shlex.join(["python", "-m", "brainseg.predict", *words]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("brainseg", "torch")},
        "weights": segmenter.sources,
        "device": segmenter.device,
        "temperature": segmenter.temperature,
        "tta": segmenter.tta if options.tta is None else options.tta,
        "least_part": segmenter.least_part,
        "left_out": left_out,
        "use": USE,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    done: list[dict[str, Any]] = []
    for case in tqdm(cases, "segmenting", unit="case", delay=2, disable=None):
        done.append(_case(case, segmenter, options, before.get(case.name, {})))
        kept.pop(case.name, None)
        # with what is not reached yet, so that an interrupted --resume forgets nothing
        report.write(options.out, {**head, "seconds": _since(start)}, [*done, *kept.values()])
    if options.statistics or (options.out / report.STATISTICS).exists():  # else it would be old
        rows = [*done, *kept.values()]
        say(f"{len(rows)} cases in {report.statistics(options.out, rows)}")
    failed = sum("failed" in each for each in done)
    again = sum("again" in each for each in done)
    counts = [f"{len(done) - failed - again} segmented"]
    counts += [f"{again} done before"] if again else []
    counts += [f"{failed} failed"] if failed else []
    say(f"{', '.join(counts)} in {_since(start):.1f} s; {options.out / report.REPORT}")
    return not failed


def say(line: str) -> None:
    """Print a line clear of the progress bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def _left_out(reasons: dict[str, str]) -> list[str]:
    """A line for each reason, with the first files; the report has them all."""
    lines = []
    for why in dict.fromkeys(reasons.values()):
        paths = [path for path, each in reasons.items() if each == why]
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        lines.append(f"leaves out {paths[0]}{more}: {why}")
    return lines


def _cases(options: argparse.Namespace, segmenter: Segmenter) -> tuple[list[Case], dict[str, str]]:
    known = dict.fromkeys(("flair", "pre", "post", "t2", *segmenter.channels))
    if unknown := [each for each in options.order if each not in known]:
        raise ValueError(f"--order {unknown[0]}: must be of {', '.join(known)}")
    if len(set(options.order)) < len(options.order):  # of two volumes one would be lost
        raise ValueError(f"--order {' '.join(options.order)}: must name each sequence once")
    finder = segmenter.finder(resample=options.resample, order=options.order)
    flags = {name: getattr(options, name) for name in ("flair", "pre", "post", "t2")}
    given = {name: path for name, path in flags.items() if path is not None}
    if given and options.paths:
        raise ValueError(f"{options.paths[0]} beside --{next(iter(given))}: give files or flags")
    if given and "flair" not in given:
        raise ValueError("--flair FILE is needed: FLAIR shows the tumour, and stands in for others")
    if given:
        for path in given.values():
            if not path.exists():
                raise ValueError(f"{path} does not exist; give a NIfTI file, or a DICOM folder")
        return [finder.by_sequence(given)], {}
    cases, left_out = finder.find(options.paths)
    if not cases:
        more = "".join(f"\n  {line}" for line in _left_out(left_out))
        raise ValueError(f"no scan to segment; give a scan, or a folder of scans{more}")
    return cases, left_out


def _before(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Cases of an earlier call into the same folder."""
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give a folder")
    if out.is_dir() and any(out.iterdir()):
        if not (out / report.REPORT).is_file():  # scans, perhaps, whose own masks have these names
            raise ValueError(f"--out {out} is not empty, and not of this command; give another")
        if not (options.resume or options.force):
            raise ValueError(
                f"--out {out} is not empty; give --resume to go on, --force to replace"
            )
    with nullcontext() if options.resume else suppress(ValueError):
        return report.read(out)
    return {}


def _case(
    case: Case, segmenter: Segmenter, options: argparse.Namespace, before: dict[str, Any]
) -> dict[str, Any]:
    """What the report says of a case; one that fails costs only itself."""
    start = time.perf_counter()
    entry: dict[str, Any] = {"name": case.name}
    try:
        settings = [options.threshold, options.tta, options.resample]
        settings += [options.probabilities, options.preview, options.dicom_seg]
        entry["checksum"] = report.checksum(case.files, segmenter.identity, *settings)
        same = before.get("checksum") == entry["checksum"]
        if options.resume and same and _there(before):
            say(f"{case.name}: done before")
            return before | {"again": True}
        entry |= _segment(case, segmenter, options)
        entry["seconds"] = _since(start)
        for line in report.told(entry):
            say(line)
        for path in report.remove_others(options.out, before, entry):
            say(f"    removed: {path}, of an earlier call")
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        entry["failed"] = reason(error).splitlines()[0]
        say(f"{case.name}: FAILED: {entry['failed']}")
    return entry


def _segment(case: Case, segmenter: Segmenter, options: argparse.Namespace) -> dict[str, Any]:
    scan = case.read().known_as(segmenter.channels)
    scan.notes.extend(unlike(scan, segmenter.known))
    if windows := dict.fromkeys(str(m.windows) for m in segmenter.models if m.windows):
        scan.notes.append(f"of CT the network sees {'; '.join(windows)}")  # a file has more
    known = segmenter.preprocessing.orientation
    if scan.orientation and known and scan.orientation not in known:
        trained = ", ".join(known)
        scan.notes.append(f"slices, rows, columns run to {scan.orientation}; trained on {trained}")
    probs = segmenter.probabilities(scan, tta=options.tta)
    threshold = options.threshold or segmenter.cut(scan)
    mask = segmenter.mask(probs, threshold)
    stem, regions = options.out / case.name, segmenter.regions
    several = len(regions) > 1
    written = scan.write(segmenter.label_map(mask), stem, "labels") if several else []
    for k, region in enumerate(regions):
        prefix = f"{region}_" if several else ""
        written += scan.write(mask[k], stem, f"{prefix}mask")
        if options.probabilities:
            each = calibrated(probs[k], segmenter.temperature)
            written += scan.write(each, stem, f"{prefix}probabilities")
    if options.dicom_seg:
        path = stem.with_name(f"{case.name}.dcm")
        seg = write_dicom_seg(scan, mask, path, regions)
        written += [seg] if seg else []
    if options.preview:
        from brainseg.predict.preview import write_preview  # Matplotlib

        path = stem.with_name(f"{case.name}_preview.png")
        written.append(write_preview(scan, mask, path, regions))
    measured = report.measure(scan, mask, segmenter.used(), regions)
    return {"written": list(map(str, written)), "threshold": threshold, **measured}


def _there(before: dict[str, Any]) -> bool:
    return "failed" not in before and all(Path(path).is_file() for path in before["written"])


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
