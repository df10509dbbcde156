"""A table of text, and how its numbers are written."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A caption, the names of the columns, and rows of text of the same length."""

    caption: str
    header: list[str]
    rows: list[list[str]]

    @property
    def words(self) -> list[bool]:
        """Whether a column holds words, which are set to the left."""
        return [any(_is_word(row[k]) for row in self.rows) for k in range(len(self.header))]


def number_or_dash(value: float | None, digits: int = 3) -> str:
    """A number with as many digits, or a dash for None and nan."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"


def p_value(p: float | None) -> str:
    """A p-value: three digits, `< 0.001` below that, a dash where there is none."""
    return "–" if p is None or p != p else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _is_word(text: str) -> bool:
    return text[:1].isalpha() and text != "nan"
