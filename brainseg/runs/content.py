"""What the files of a run folder must hold; each function takes a file's text.

They raise whatever a broken file makes them raise; `RunFolder` turns that into one line.
"""

import csv
import json
import math
from typing import Any

import yaml

PARTS = ("train", "val", "test")


def config(text: str) -> dict[str, Any]:
    """The configuration of `.hydra/config.yaml`."""
    content = _yaml(text)
    content["epochs"], content["seed"]
    return content


def choices(text: str) -> dict[str, str]:
    """The option of each group, of `.hydra/hydra.yaml`."""
    chosen = _yaml(text)["hydra"]["runtime"]["choices"]
    chosen["norm"], chosen["loss"]
    return {str(group): str(option) for group, option in chosen.items()}


def history(text: str) -> list[dict[str, float]]:
    """The rows of `history.csv`."""
    table = csv.DictReader(text.splitlines())
    if lacking := {"epoch", "val/dice", "seconds"} - set(table.fieldnames or ()):
        raise KeyError(min(lacking))
    rows = [_numbers(row) for row in table]
    if len({row["epoch"] for row in rows}) < len(rows):
        raise ValueError("an epoch twice")
    return rows


def metrics(text: str) -> dict[str, Any]:
    """`metrics.json`, in today's form, with all that somebody reads."""
    content = dict(json.loads(text))
    split = dict(content["split"])
    members = split.get("members", split)  # no level between in the first versions
    members = {part: list(members[part]) for part in PARTS}
    content["split"] = {"leaky": bool(split["leaky"]), "members": members}
    numbers = [content[key] for key in ("epochs", "best_epoch", "seed")]
    numbers += [content["seconds"][key] for key in ("start", "epochs", "scoring")]
    numbers += [content["scores"]["best"]["val"]["dice"]]
    numbers += [each.get("dice", 0) for each in content["scores"]["best"].values()]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a number in it is not finite")
    str(content["data"]["fingerprint"])
    return content


def failure(text: str) -> str:
    """The reason in `failed.json`."""
    return str(dict(json.loads(text))["reason"])


def split(text: str) -> dict[str, Any]:
    """`split.json`."""
    return dict(json.loads(text))


def _yaml(text: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's: a sweep reads many
    try:
        content = yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise ValueError(error) from error
    if not isinstance(content, dict):
        raise TypeError("no settings")
    return {str(key): value for key, value in content.items()}


def _numbers(row: dict[str, str | None]) -> dict[str, float]:
    if None in row or None in row.values():
        raise ValueError("a row with too many or too few values")
    return {key: float(value) if value else math.nan for key, value in row.items()}
