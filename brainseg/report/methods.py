"""How the judged cells were trained and compared, for the methods section of a paper."""

from collections.abc import Sequence
from typing import Any

from brainseg.report.cells import Result
from brainseg.report.factors import level_order, text
from brainseg.report.study import Study
from brainseg.runs.identity import identity
from brainseg.statistics import DRAWS

# by the name of what an option builds, whatever the option is called
SOURCES = {
    "AttentionUNet": "Oktay et al. 2018, arXiv 1804.03999",
    "Averaging": "scored and kept: an exponential moving average of the weights",
    "BraTS": "Menze et al. 2015, doi 10.1109/TMI.2014.2377694",
    "Decathlon": "Antonelli et al. 2022, doi 10.1038/s41467-022-30695-9",
    "LGG": "Buda et al. 2019, doi 10.1016/j.compbiomed.2019.05.002",
    "LayerNorm2d": "over the channels at each pixel, Ba et al. 2016, arXiv 1607.06450",
    "ResUNet": "Zhang et al. 2018, arXiv 1711.10684",
    "UNet": "Ronneberger et al. 2015, arXiv 1505.04597",
    "cosine": "Loshchilov and Hutter 2017, arXiv 1608.03983",
    "dice_loss": "Milletari et al. 2016, arXiv 1606.04797, without squares",
    "focal_loss": "Lin et al. 2017, arXiv 1708.02002",
    "group_norm": "Wu and He 2018, arXiv 1803.08494",
    "layer_norm": "over channels and pixels of a slice, as in Wu and He 2018, arXiv 1803.08494",
    "patient_split": "by patient, stratified by institution and tumour burden",
    "stable_decay": "Hägele et al. 2024, arXiv 2405.18392",
    "torch.nn.BatchNorm2d": "Ioffe and Szegedy 2015, arXiv 1502.03167",
    "torch.nn.InstanceNorm2d": "Ulyanov et al. 2016, arXiv 1607.08022",
    "torch.optim.Adam": "Kingma and Ba 2015, arXiv 1412.6980",
    "torch.optim.AdamW": "Loshchilov and Hutter 2019, arXiv 1711.05101",
    "tversky_loss": "Salehi et al. 2017, arXiv 1706.05721",
}
_OFF = {"None", "False", "0", "none"}
# of no result: how a release names and counts its files, and how a step is worked out
_HIDDEN = (*(f"reader.{key}" for key in ("files", "labels", "handle", "expected")), "on_error")
_HIDDEN += ("_partial_", "fused")

Settings = dict[str, Any]


def methods(study: Study) -> list[str]:
    """A line each of patients, split, network, training, choice, scores, intervals and tests."""
    results = [result for each in study.groups[0] for result in each.results]
    settings = [_used(identity(result.config)) for result in results]
    groups = dict.fromkeys(key.partition(".")[0] for each in settings for key in each if "." in key)
    told = {name: _group(name, results, settings) for name in groups}
    plain = dict.fromkeys(key for each in settings for key in each if "." not in key)
    numbers = [words for key in plain if (words := _value(key, key, settings))]
    rest = [told[name] for name in groups if name not in ("data", "split", "model", "norm")]
    lines = {
        "Patients": [_patients(results[0]), told.get("data", "")],
        "Split": [_split(results), told.get("split", "")],
        "Network": [told.get("model", ""), told.get("norm", ""), _parameters(results)],
        "Training": [*numbers, *rest],
    }
    said = [f"{name}: {'; '.join(filter(None, parts))}." for name, parts in lines.items()]
    return [*said, *_choice(results), *_tests(study)]


def _patients(one: Result) -> str:
    data = one.metrics["data"]
    told = [
        f"{data[key]:,} {words}"
        for key, words in (
            ("patients", "patients"),
            ("slices", "slices"),
            ("tumour_slices", "of them with tumour"),
            ("skipped", "damaged ones left out"),
        )
        if data.get(key)
    ]
    if "missing" in one.patients:
        lacking = one.patients[one.patients["missing"].notna()]["patient"].nunique()
        told += [f"{lacking} with a sequence missing, where another stands in"] if lacking else []
    return ", ".join(told)


def _split(results: Sequence[Result]) -> str:
    parts = [
        f"{_range({len(result.members[part]) for result in results})} {verb}"
        for part, verb in (("train", "train"), ("val", "validate"), ("test", "test"))
    ]
    folds = {result.fold for result in results if result.fold is not None}
    each = f"in each of {len(folds)} folds " if folds else ""
    return f"{each}{', '.join(parts)}"


def _parameters(results: Sequence[Result]) -> str:
    known = {result.metrics.get("parameters", 0) for result in results}
    return f"{_range(known)} parameters"


def _choice(results: Sequence[Result]) -> list[str]:
    regions = results[0].regions
    over = f", the mean over the regions {', '.join(regions)}" if len(regions) > 1 else ""
    return [
        "Choice: of each network the epoch with the highest val Dice; of the configurations that "
        "with the highest mean val Dice. Test patients chose nothing.",
        "Scores: Dice by patient, of the whole volume on its original pixels, at probability 0.5, "
        f"1 where truth and prediction are both empty{over}.",
    ]


def _tests(study: Study) -> list[str]:
    seeds = max(len(each.seeds) for each in study.groups[0])
    both = "patients and seeds" if seeds > 1 else "patients"
    said = [
        f"Intervals: 95 %, percentiles of a bootstrap over {both}, {DRAWS:,} draws, n - 1 of n "
        "(Efron and Tibshirani 1993; Rao and Wu 1988)."
    ]
    if study.comparisons:
        crossed = "and t-tests with patients and seeds as chance (Satterthwaite 1946), "
        said.append(
            "Tests: paired by patient, two-sided Wilcoxon signed-rank tests (Wilcoxon 1945), "
            f"{crossed if seeds > 1 else ''}corrected within each family (Holm 1979)"
            f"{'; epochs at the last one' if 'epochs' in study.factors else ''}."
        )
    return said


def _group(name: str, results: Sequence[Result], settings: Sequence[Settings]) -> str:
    """The options of a group that cells have, each with its source and parameters."""
    own: dict[str, list[Settings]] = {}
    for result, each in zip(results, settings, strict=True):
        own.setdefault(result.choices.get(name, ""), []).append(each)
    told = []
    for option, members in own.items():
        keys = dict.fromkeys(key for each in members for key in each if key.startswith(f"{name}."))
        source_first = sorted(keys, key=lambda key: not key.endswith("_target_"))
        words = [_value(key, _label(key, name), members) for key in source_first]
        inside = "; ".join(filter(None, words))
        told.append(f"{option} ({inside})".strip() if inside else option)
    return f"{name} {' or '.join(told)}"


def _used(settings: Settings) -> Settings:
    """The settings without what a split of its kind does not ask for."""
    unused = "split.folds" if settings.get("split.fold") is None else "split.test"
    return {key: value for key, value in settings.items() if key != unused}


def _label(key: str, group: str) -> str:
    return key.removeprefix(f"{group}.").removeprefix("net.")


def _value(key: str, label: str, settings: Sequence[Settings]) -> str:
    """A setting in words; empty where it is off in all cells, or names files."""
    found = [_text(each.get(key)) for each in settings]
    if label.endswith("_target_"):
        return " or ".join(dict.fromkeys(SOURCES.get(each, _foreign(each)) for each in found))
    if label.startswith(_HIDDEN) or (label != "seed" and set(found) <= _OFF):
        return ""
    return label if set(found) == {"True"} else f"{label} {' or '.join(level_order(key, found))}"


def _text(value: Any) -> str:
    return ", ".join(map(text, value)) if isinstance(value, list) else text(value)


def _foreign(target: str) -> str:
    """What somebody else's module builds is named whole; ours stands under its option's name."""
    return target if "." in target else ""


def _range(numbers: set[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
