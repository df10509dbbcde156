"""What every form of a report holds: sentences, figures, tables."""

from dataclasses import dataclass, field

from matplotlib.figure import Figure

from brainseg.report.made import SplitList
from brainseg.report.table import Table


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
