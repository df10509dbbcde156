"""What the files of a run folder must hold; each function takes a file's text.

They raise whatever a broken file makes them raise; `RunFolder` turns that into one line.
"""

import csv
import json
import math
from typing import Annotated, Any, Required

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for it before Python 3.12

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


class _Seconds(TypedDict):
    start: float
    epochs: float
    scoring: float


class _Metrics(TypedDict, total=False):
    """Types in `metrics.json`; earlier revisions wrote some of it alone."""

    scores: Required[dict[str, dict[str, dict[str, float]]]]
    best_epoch: Required[Annotated[int, Field(ge=1)]]
    epochs: Required[Annotated[int, Field(ge=1)]]
    stopped_early: bool
    norm: str
    loss: str
    seed: Required[int]
    split: Required[dict[str, Any]]
    data: Required[dict[str, str | int]]
    parameters: int
    weights: str
    precision: str
    deterministic: bool
    seconds: Required[_Seconds]
    peak_memory_mb: dict[str, float]
    hardware: dict[str, str | int]
    versions: dict[str, str]
    git: str | None
    source: str
    sessions: list[dict[str, Any]]
    command: str
    date: str


class _Split(TypedDict):
    leaky: bool
    members: dict[str, list[str]]
    persons: dict[str, str]


def metrics(text: str) -> dict[str, Any]:
    """`metrics.json`, in today's form, with all that somebody reads."""
    content = dict(json.loads(text))
    split = dict(content["split"])
    members = split.get("members", split)  # no level between in the first versions
    members = {part: members[part] for part in PARTS}
    persons = split.get("persons", {})  # none up to revision 56d7aae
    known = {"leaky": split["leaky"], "members": members, "persons": persons}
    content["split"] = of(_Split, known)
    of(_Metrics, content)
    best = content["scores"]["best"]
    numbers = [*content["seconds"].values(), best["val"]["dice"]]
    numbers += [each.get("dice", 0) for each in best.values()]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a number in it is not finite")
    content["data"]["fingerprint"]
    return content


def failure(text: str) -> str:
    """The reason in `failed.json`."""
    return str(dict(json.loads(text))["reason"])


def split(text: str) -> dict[str, Any]:
    """`split.json`."""
    return dict(json.loads(text))


def of(kind: Any, content: dict[str, Any]) -> dict[str, Any]:
    """The content of a JSON file, if its types are those declared; other keys are let through.

    Raises:
        ValueError: names the first that is not, and what it should be.
    """
    try:
        TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from error
    return content


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
