"""What every form of a report holds: sentences, figures, tables, and how numbers are written."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from matplotlib.figure import Figure

from brainseg.report.provenance import SplitList

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A caption, the names of the columns, and rows of text of the same length."""

    caption: str
    header: list[str]
    rows: list[list[str]]

    @classmethod
    def of(
        cls, caption: str, rows: Iterable[T], columns: Mapping[str, Callable[[T], str]]
    ) -> "Table":
        """A row for each object, from a function for each column."""
        return cls(caption, list(columns), [[of(row) for of in columns.values()] for row in rows])

    @property
    def words(self) -> list[bool]:
        """Whether a column holds words, which are set to the left."""
        return [any(_is_word(row[k]) for row in self.rows) for k in range(len(self.header))]


@dataclass(frozen=True)
class Picture:
    """A figure: the name of its files, what it shows, and the figure itself."""

    name: str
    caption: str
    figure: Figure


@dataclass
class Section:
    """A headed part: sentences, then pictures, then tables."""

    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Content:
    """What every form of a report holds.

    Attributes:
        question: that the sweep asks.
        answer: in one sentence.
        caveats: what to know before believing it.
        board: the leaderboard.
        sections: the rest.
        facts: how it was made.
        splits: who is in each part of each split.
    """

    question: str
    answer: str
    caveats: list[str]
    board: Table
    sections: list[Section]
    facts: dict[str, list[str]]
    splits: list[SplitList]


def number_or_dash(value: float | None, digits: int = 3) -> str:
    """A number with as many digits, or a dash for None and nan."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def p_value(p: float | None) -> str:
    """A p-value: three digits, `< 0.001` below that, a dash where there is none."""
    return "–" if p is None or p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and text != "nan"
