"""How a report's numbers were made: commands, versions, data, splits, machines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from brainseg.report.cells import Result
from brainseg.report.gather import Found


@dataclass(frozen=True)
class SplitList:
    """One split: its checksum, the cells that have it, and who is in each part."""

    checksum: str
    fold: int | None
    leaky: bool
    cells: int
    members: dict[str, list[str]]


def facts(found: Found) -> dict[str, list[str]]:
    """What each cell says of itself, each distinct value once, with the number of cells."""
    told: dict[str, list[str]] = {"command": found.commands}
    about: dict[str, Callable[[dict[str, Any]], Any]] = {
        "code": lambda m: m.get("git"),
        "versions": lambda m: _words(m.get("versions", {})),
        "machine": lambda m: _words(m.get("hardware", {})),
        "precision": lambda m: m.get("precision"),
        "data": lambda m: _words(m["data"]),
    }
    for name, value in about.items():
        counts: dict[str, int] = {}
        for result in found.results:
            text = str(value(result.metrics) or "not known")
            counts[text] = counts.get(text, 0) + 1
        told[name] = [f"{text} ({_cells(count)})" for text, count in counts.items()]
    dates = sorted(str(r.metrics["date"]) for r in found.results if r.metrics.get("date"))
    told["trained"] = [f"{dates[0]} to {dates[-1]}"] if dates else []
    return {name: values for name, values in told.items() if values}


def splits(found: Found) -> list[SplitList]:
    """The splits, each once, in the order of the cells."""
    by_sum: dict[str, list[Result]] = {}
    for result in found.results:
        by_sum.setdefault(result.split, []).append(result)
    return [
        SplitList(checksum, cells[0].fold, cells[0].leaky, len(cells), cells[0].members)
        for checksum, cells in by_sum.items()
    ]


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"
