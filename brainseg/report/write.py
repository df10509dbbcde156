"""A report's files, from the folders of sweeps."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from tqdm import tqdm

from brainseg.figures import style
from brainseg.files import write_whole
from brainseg.report import gather, leaderboard, page, sections, tables
from brainseg.report.factors import levels
from brainseg.report.study import study


def report(
    sweeps: Sequence[Path],
    *,
    out: Path | None = None,
    command: str = "",
) -> tuple[str, list[str], Path]:
    """Write a report: the answer, a line for each cell without a result, and the page's path.

    Args:
        sweeps: folders of sweeps, or of a run.
        out: folder to write to; None: `report/` in the first sweep.
        command: that made it.

    Raises:
        FileNotFoundError: a folder is no sweep and no run.
        ValueError: no cell is finished, two cells are one, a file cannot be understood, or the
            folder cannot be written to.
    """
    with tqdm(total=4, desc="report", leave=False, delay=2, disable=None) as bar:
        bar.set_postfix_str("reading the cells")
        found = gather.read(sweeps)
        folder = _writable(out or sweeps[0] / "report")
        bar.update()
        bar.set_postfix_str("testing")
        studied = study(found)
        bar.update()
        bar.set_postfix_str("drawing")
        content = sections.content(studied)
        bar.update()
        bar.set_postfix_str("writing")
        pictures = [picture for section in content.sections for picture in section.pictures]
        svgs = {p.name: style.save(p.figure, folder / "figures", p.name) for p in pictures}
    runs = leaderboard.cells_table(found, levels(found.results))
    write_whole(folder / "runs.csv", runs.to_csv(index=False))
    write_whole(folder / "pairs.csv", tables.pairs_frame(studied.comparisons).to_csv(index=False))
    write_whole(folder / "report.md", page.markdown(content, command))
    write_whole(folder / "report.html", page.html(content, svgs, command))
    absent = [f"{each.name} {each.state}: {each.reason}" for each in found.absent]
    return content.answer, absent, folder / "report.html"


def _writable(folder: Path) -> Path:
    """The folder, made; refused where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written to ({error.strerror}); give another folder with --out"
        ) from error
    return folder
