"""`report.html`, one file that opens offline, on a phone too, and prints; and `report.md`."""

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from brainseg.report.content import Content, Table

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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
    )
    images = {name: _inline(svg) for name, svg in svgs.items()}
    template = environment.get_template("page.html")
    return template.render(content=content, images=images, command=command, legend=LEGEND)


def markdown(content: Content, command: str) -> str:
    """The report as Markdown, with links to its figures beside it."""
    parts = [f"# {content.question}", f"**{content.answer}**"]
    parts += ["\n".join(f"- {line}" for line in content.caveats)] if content.caveats else []
    parts.append(_table(content.board))
    for section in content.sections:
        parts.append(f"## {section.title}")
        if section.text:
            parts.append("\n".join(f"- {line}" for line in section.text))
        parts += [f"![{p.caption}](figures/{p.name}.png)" for p in section.pictures]
        parts += [_table(one) for one in section.tables]
    parts.append("## How it was made")
    facts = [f"- {name}: {value}" for name, values in content.facts.items() for value in values]
    sizes = [
        f"- split {split.checksum}{'' if split.fold is None else f', fold {split.fold}'}"
        f"{', LEAKY' if split.leaky else ''}: "
        + ", ".join(f"{part} {len(who)}" for part, who in split.members.items())
        + " patients (listed in report.html)"
        for split in content.splits
    ]
    parts.append("\n".join([*facts, *sizes, f"- this report: `{command}`"]))
    return "\n\n".join(parts) + "\n"


def _inline(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _table(table: Table) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    rule = "|" + "|".join(" --- " for _ in table.header) + "|"
    return "\n".join([f"*{table.caption}*", "", lines[0], rule, *lines[1:]])
