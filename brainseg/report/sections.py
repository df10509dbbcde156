"""The content of a report in the order in which it is read."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from brainseg.report import charts, grids, made, tables
from brainseg.report.answer import answer, question, sentence
from brainseg.report.board import board, spread
from brainseg.report.caveats import caveats
from brainseg.report.content import Content, Picture, Section
from brainseg.report.curves import flattening, stopped
from brainseg.report.findings import findings
from brainseg.report.leaderboard import Row
from brainseg.report.patients import accuracy_of_nothing, hard, subgroups
from brainseg.report.ranks import MOST
from brainseg.report.rates import RATE
from brainseg.report.study import Study
from brainseg.report.table import p_value
from brainseg.report.variance import ALPHA


def content(study: Study, rows: Sequence[Row], clinical: pd.DataFrame | None = None) -> Content:
    """Everything that a report says and shows, without empty sections."""
    sections = [
        _tests(study),
        _factors(study, rows),
        _rates(study),
        _epochs(study),
        _ranks(study),
        _patients(study, clinical),
    ]
    if study.found.absent:
        absent = tables.absent(study.found.absent)
        sections.append(Section("Cells without a result", tables=[absent]))
    return Content(
        question(study),
        answer(study),
        caveats(study),
        board(rows, accuracy_of_nothing(study.main.configurations)),
        [each for each in sections if each.text or each.pictures or each.tables],
        made.facts(study.found),
        made.splits(study.found),
    )


def _tests(study: Study) -> Section:
    section = Section("What the tests allow", findings(study))
    against = study.main.against
    if against:
        _add(
            section,
            "leads",
            "Lead of the winner over each other configuration. Filled: beyond the noise of "
            "patients and seeds. Intervals are not corrected for their number; p Holm is.",
            charts.leads(against, "the winner"),
        )
        caption = "The winner with each other configuration, on the same test patients."
        section.tables.append(tables.pairs(against, caption))
    return section


def _factors(study: Study, rows: Sequence[Row]) -> Section:
    section = Section("What each factor does")
    judged = study.main.configurations
    factors = [each.factor for each in study.effects if each.factor in judged[0].levels]
    _add(
        section,
        "heat-map",
        "Mean test Dice by patient, best epoch on val.",
        grids.heat_map(judged, factors),
    )
    _add(
        section,
        "effects",
        "Mean test Dice of each level, in equal company of the other factors; epochs at their "
        "last checkpoint, all else at the best on val.",
        grids.marginal(study.effects),
    )
    _add(
        section,
        "interactions",
        "Mean test Dice by two factors, best epoch on val. Parallel lines: no interaction.",
        grids.interactions(judged, factors),
    )
    levels = [pair for each in study.effects for pair in each.pairs]
    if levels:
        caption = "Levels of one factor, over all configurations that differ in it alone."
        section.tables.append(tables.pairs(levels, caption))
    if study.interactions:
        caption = "Differences of differences: what one factor's effect owes to another's level."
        section.tables.append(tables.pairs(study.interactions, caption))
    section.tables.append(spread(rows))
    return section


def _rates(study: Study) -> Section:
    section = Section("Fair learning rates")
    if study.fair:
        section.text.append(
            f"{RATE} was swept, so above each configuration is taken at its own best rate on val. "
            "At each fixed rate the answer is:"
        )
        section.text += [
            f"{RATE}={rate}: {sentence(judged)}" for rate, judged in study.by_rate.items()
        ]
    return section


def _epochs(study: Study) -> Section:
    section = Section("Learning curves and epochs")
    members = study.groups[0]
    found = flattening(members)
    _add(
        section,
        "curves",
        "Dice by epoch at the network's size; val solid with the band from the lowest to the "
        "highest seed, train (augmented, while learning) dashed.",
        charts.learning(members, [each.factor for each in study.effects]),
    )
    if found:
        section.text.append(stopped(found))
        section.tables.append(tables.flat(found))
    return section


def _ranks(study: Study) -> Section:
    section = Section("Ranks")
    ranks = study.ranks
    if ranks is None or study.main.winner.leaky:
        return section
    if ranks.friedman is not None:
        verdict = "some configurations" if ranks.friedman < ALPHA else "no configurations"
        section.text.append(
            f"Friedman's test over {ranks.patients} patients: p {p_value(ranks.friedman)}; "
            f"by it {verdict} rank differently. It knows of no noise of seeds."
        )
    caption = "Critical difference (Nemenyi, 0.05): a bar joins what is not told apart by ranks."
    _add(section, "critical-difference", caption, charts.critical_difference(ranks))
    if ranks.critical is None:
        section.text.append(f"No critical-difference diagram: it holds {MOST} configurations.")
    section.tables.append(tables.stability(ranks))
    return section


def _patients(study: Study, clinical: pd.DataFrame | None) -> Section:
    section = Section("Patients")
    members = study.main.configurations
    if any(each.best.empty for each in members):
        return section
    table = hard(members)
    if table.empty:
        return section
    if "missing" not in table:
        section.text.append("The files of these cells do not tell which patients lack a sequence.")
    if clinical is None:
        section.text.append("For clinical columns, give the data set's table: --clinical data.csv.")
    found = subgroups(members, clinical)
    caption = "Test Dice of every patient in every configuration, hardest first (40 at most)."
    _add(section, "patients", caption, charts.patients(members))
    _add(section, "subgroups", "Mean test Dice by subgroup.", charts.groups(found))
    numbers = [tables.numbered(members)] if len(members) > 1 else []
    disputed = [tables.disputed(table)] if len(members) > 1 else []
    section.tables += [*numbers, tables.hardest(table), *disputed, tables.by_group(found)]
    return section


def _add(section: Section, name: str, caption: str, figure: Figure | None) -> None:
    if figure is not None:
        section.pictures.append(Picture(name, caption, figure))
