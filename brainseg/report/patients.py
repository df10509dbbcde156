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
    tables = [result.patients for each in configurations for result in each.results]
    every = pd.concat(tables)
    tested = every[every["split"] == "test"].drop_duplicates("patient").set_index("patient")
    known = tested[["institution", "slices", "target", "pixels"]].copy()
    if "missing" in tested:
        known["missing"] = tested["missing"].fillna("none")
    return known


def accuracy_of_nothing(configurations: Sequence[Configuration]) -> float:
    """Mean over test patients of the accuracy of predicting no tumour anywhere; nan without any."""
    known = who(configurations)
    return float((1 - known["target"] / known["pixels"]).mean())


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
