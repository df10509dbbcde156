"""What a reader must know before believing a number: one plain sentence each."""

from collections.abc import Iterable, Sequence

from brainseg.report.cells import Result
from brainseg.report.study import Study


def caveats(study: Study) -> list[str]:
    """Warnings about a sweep: missing cells, one seed, other splits, code or data, leaks."""
    found = study.found
    results = found.results
    said = list(found.notes)
    if found.absent:
        said.append(
            f"{len(found.absent)} of {len(results) + len(found.absent)} cells have no result and "
            "are listed below; what is said here may change when they have one."
        )
    if len(results) == 1:
        said.append("One cell: nothing can be compared, and nothing said of the noise of seeds.")
    if len(study.groups) > 1:
        said.append(
            f"The cells have {len(study.groups)} different splits or data sets. Scores on other "
            "patients are never compared as pairs: the answer is about the first split, and the "
            "others are only listed."
        )
    if any(result.leaky for result in results):
        said.append(
            "LEAKY split: slices of one patient are on both sides. Its scores say nothing of "
            "patients that the network has not seen."
        )
    said += _nothing_found(results)
    said += _seeds(study)
    if any(each.best.empty for each in study.configurations):
        said.append("Some cells have no test scores; they are ranked on val and not compared.")
    said += _folds(study)
    code = "source" if all(each.metrics.get("source") for each in results) else "git"
    said += _differ(results, code, "code versions", "a difference between cells may be the code's")
    said += _differ(results, "versions", "sets of package versions", "the same holds for them")
    said += _differ(
        results, "hardware", "machines or thread counts", "compare seconds and memory with care"
    )
    parts = [each.name for each in results if len(each.metrics.get("sessions", [])) > 1]
    if parts:
        said.append(
            f"Trained in parts, on different machines or by different code: {', '.join(parts)}; "
            "metrics.json (sessions) says which epochs where."
        )
    if any(str(result.metrics.get("git") or "").endswith("-dirty") for result in results):
        said.append("Some cells were trained by code with changes that no commit holds.")
    return said


def _nothing_found(results: Sequence[Result]) -> list[str]:
    found = [(each.name, each.by_patient(name="recall")) for each in results]
    silent = [name for name, recall in found if len(recall) and not recall.any()]
    if not silent:
        return []
    shown = ", ".join(silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
    return [
        f"{len(silent)} of {len(results)} cells find no tumour in any test patient ({shown}): they "
        "have not begun to learn, or learnt to predict nothing. What is said of their settings "
        "says that alone; train longer, or with another optimizer.lr."
    ]


def _seeds(study: Study) -> list[str]:
    counts = {len(each.seeds) for each in study.groups[0]}
    if max(counts) == 1 and len(study.found.results) > 1:
        return [
            "One seed: the tests say whether these networks differ on such patients, and cannot "
            "say whether a method or a lucky start made the difference. Train with seed=0,1,2."
        ]
    sets = {tuple(each.seeds) for each in study.groups[0]}
    if len(sets) > 1:
        return [
            "The configurations have different seeds; pairs are compared over the seeds that both "
            "have, those with none in common by their means. With fewer than two in common, the "
            "interval leaves the noise of seeds out; p seeds does not."
        ]
    return []


def _folds(study: Study) -> list[str]:
    folded = [each for each in study.configurations if any(k is not None for k in each.splits)]
    if not folded:
        return []
    used = {id(result) for each in study.configurations for result in each.results}
    unused = sum(id(result) not in used for result in study.found.results)
    left_out = (
        f" {unused} finished cells are left out: not every configuration, or not their seed, has "
        "their fold."
    )
    counts = {len(each.splits) for each in folded}
    number = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    return [
        f"Folds: the test scores of {number} folds are pooled out of fold, each patient once; val "
        f"Dice is the mean over the folds' own val patients.{left_out if unused else ''}"
    ]


def _differ(results: Iterable[Result], key: str, what: str, so: str) -> list[str]:
    distinct = {repr(result.metrics.get(key)) for result in results}
    return [f"The cells come from {len(distinct)} {what}; {so}."] if len(distinct) > 1 else []
