"""`report.html`, one file that opens offline, on a phone too, and prints; and `report.md`."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brainseg.report.content import Content

LEGEND = (
    "The choice is made on val alone. Test gives its score, its interval and the paired "
    "differences, never the choice.",
    "A pair is compared on the same test patients, Dice pooled over seeds: bootstrap interval over "
    "patients and seeds; p Wilcoxon: signed-rank test over patients, for these networks; p seeds: "
    "patients and seeds both drawn at random; p Holm: the larger of both, corrected within the "
    "table's family.",
    "ahead or behind: p Holm below 0.05 and 0 outside the interval. within noise of seeds: beyond "
    "the noise of patients, but other seeds could turn it. differ (one seed): these networks do; "
    "of the methods nothing is known. within noise: neither.",
    "wins: share of the patients on which the first is better. d_z: mean over standard deviation "
    "of the patients' differences. detectable: the smallest true difference "
    "that would have been found 4 times in 5.",
    "epochs are compared at the last checkpoint, since the best of 100 epochs contains the best of "
    "50. Formulas and sources: docs/statistics.md.",
)


def html(content: Content, svgs: Mapping[str, str], command: str) -> str:
    """The page as HTML.

    Args:
        content: of the report.
        svgs: by name of the picture, its SVG.
        command: that made this report.
    """
    images = {name: _inline(svg) for name, svg in svgs.items()}
    return _render("page.html", content=content, images=images, command=command, legend=LEGEND)


def markdown(content: Content, command: str) -> str:
    """The report as Markdown, with links to its figures beside it."""
    return _render("page.md.jinja", content=content, command=command)


def _render(name: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)


def _inline(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
