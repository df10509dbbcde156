"""Patients across configurations: who is hard for all, where they disagree, and who they are."""

from collections.abc import Sequence

import pandas as pd

from brainseg.report.configurations import Configuration


def matrix(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """Test Dice pooled over seeds: a row per patient that all share, a column per configuration."""
    columns = {number: each.best.mean(axis=0) for number, each in enumerate(configurations)}
    return pd.DataFrame(columns).dropna()


def hard(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """Patients with the mean, least, highest Dice over configurations and their disagreement.

    Disagreement is the standard deviation between configurations (ddof 0). Hardest first.
    """
    dice = matrix(configurations).to_numpy(dtype=float)
    table = who(configurations).loc[matrix(configurations).index]
    table["mean"], table["least"], table["highest"] = dice.mean(1), dice.min(1), dice.max(1)
    table["disagreement"] = dice.std(1)
    return table.sort_values("mean")


def who(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """What is known of each test patient: institution, slices, tumour pixels, missing sequence."""
    tested = _tested(configurations).drop_duplicates("patient").set_index("patient")
    known = tested[["institution", "slices", "target", "pixels"]].copy()
    if "missing" in tested:
        known["missing"] = tested["missing"].astype(object).fillna("none")
    return known


def accuracy_of_nothing(configurations: Sequence[Configuration]) -> float:
    """Mean over test patients of the accuracy of predicting no tumour anywhere; nan without any."""
    tested = _tested(configurations)
    known = tested.drop_duplicates([name for name in ("patient", "region") if name in tested])
    return float((1 - known["target"] / known["pixels"]).mean())


def regions(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """Mean test Dice of each region, by configuration; empty where there is one region alone.

    Columns: configuration, region, dice and patients (1 where a region is empty, and found to be),
    dice_of_having and having (patients who have it).
    """
    rows: list[dict[str, object]] = []
    for each in configurations:
        tested = _tested([each])
        tested = tested[tested["checkpoint"] == "best"]
        if "region" not in tested or tested["region"].nunique() < 2:
            continue
        for region, group in tested.groupby("region", sort=False):
            having = group[group["target"] > 0]
            row: dict[str, object] = {"configuration": each.name, "region": region}
            row |= {"dice": group["dice"].mean(), "patients": group["patient"].nunique()}
            row |= {"dice_of_having": having["dice"].mean(), "having": having["patient"].nunique()}
            rows.append(row)
    return pd.DataFrame(rows)


def _tested(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """The rows of `patients.csv` of all test patients."""
    every = pd.concat([result.patients for each in configurations for result in each.results])
    return every[every["split"] == "test"]


def subgroups(configurations: Sequence[Configuration]) -> pd.DataFrame:
    """Test Dice by subgroup: of the winner, and the mean over all configurations.

    Columns: about, level, patients, winner, all. Tumour size is cut into thirds by the patient's
    tumour pixels. Described, not tested: with so many subgroups some differ by chance.

    Args:
        configurations: of one split, in val order.
    """
    dice = matrix(configurations)
    known = who(configurations).loc[dice.index]
    by: dict[str, pd.Series[str]] = {
        "institution": known["institution"].astype(str),
        "tumour size": _thirds(known["target"]),
    }
    if "missing" in known:
        by["missing sequence"] = known["missing"].astype(str)
    rows = []
    for name, level in by.items():
        for value, patients in dice.groupby(level, sort=False).groups.items():
            chosen = dice.loc[patients].to_numpy(dtype=float)
            means = (chosen[:, 0].mean(), chosen.mean())
            rows.append((name, str(value), len(chosen), *map(float, means)))
    table = pd.DataFrame(rows, columns=["about", "level", "patients", "winner", "all"])
    order = {name: number for number, name in enumerate(by)}
    return table.sort_values(
        ["about", "level"],
        key=lambda column: column.map(order) if column.name == "about" else column,
    ).reset_index(drop=True)


def _thirds(target: "pd.Series[int]") -> "pd.Series[str]":
    names = ("1 small", "2 medium", "3 large")
    ordered = target.sort_values(kind="stable").index
    level = {patient: names[3 * place // len(ordered)] for place, patient in enumerate(ordered)}
    return pd.Series([level[patient] for patient in target.index], target.index, dtype=str)
