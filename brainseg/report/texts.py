"""`report.md`: the content of the page for a repository."""

from brainseg.report.content import Content
from brainseg.report.table import Table


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


def _table(table: Table) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (table.header, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    rule = "|" + "|".join(" --- " for _ in table.header) + "|"
    return "\n".join([f"*{table.caption}*", "", lines[0], rule, *lines[1:]])
