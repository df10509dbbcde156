"""The content of a report in the order in which it is read."""

from matplotlib.figure import Figure

from brainseg.report import charts, grids, provenance, tables
from brainseg.report.answer import answer, question, sentence
from brainseg.report.caveats import caveats
from brainseg.report.content import Content, Picture, Section
from brainseg.report.curves import flattening, stopped
from brainseg.report.findings import findings
from brainseg.report.leaderboard import leaderboard, spreads
from brainseg.report.methods import methods
from brainseg.report.patients import hard, regions, subgroups
from brainseg.report.rates import RATE
from brainseg.report.study import Study


def content(study: Study) -> Content:
    """Everything that a report says and shows, without empty sections."""
    sections = [
        _tests(study),
        _factors(study),
        _regions(study),
        _rates(study),
        _epochs(study),
        _patients(study),
        Section("Methods, for a paper", methods(study)),
    ]
    if study.found.absent:
        absent = tables.absent(study.found.absent)
        sections.append(Section("Cells without a result", tables=[absent]))
    return Content(
        question(study),
        answer(study),
        caveats(study),
        leaderboard(study),
        [each for each in sections if each.text or each.pictures or each.tables],
        provenance.facts(study.found),
        provenance.splits(study.found),
    )


def _tests(study: Study) -> Section:
    section = Section("What the tests allow", findings(study))
    against = study.main.against
    if against:
        _add(
            section,
            "leads",
            "Lead of the winner over each other configuration. Filled: beyond the noise of "
            "patients and seeds. Intervals are not corrected for their number; p Holm is."
            + _first(charts.MOST, len(against), "configurations"),
            charts.leads(against, "the winner"),
        )
        caption = "The winner with each other configuration, on the same test patients."
        section.tables.append(tables.pairs(against, caption))
    return section


def _factors(study: Study) -> Section:
    section = Section("What each factor does")
    judged = study.main.configurations
    factors = [each.factor for each in study.effects if each.factor in judged[0].levels]
    _add(
        section,
        "heat-map",
        f"Mean test Dice by patient, best epoch on val{_over(factors[3:])}.",
        grids.heat_map(judged, factors),
    )
    _add(
        section,
        "effects",
        "Mean test Dice of each level, in equal company of the other factors; epochs at their "
        "last checkpoint, all else at the best on val."
        + _first(grids.MOST, len(study.effects), "factors"),
        grids.marginal(study.effects),
    )
    levels = [pair for each in study.effects for pair in each.pairs]
    if levels:
        caption = "Levels of one factor, over all configurations that differ in it alone."
        section.tables.append(tables.pairs(levels, caption))
    section.tables.append(spreads(study))
    return section


def _regions(study: Study) -> Section:
    section = Section("Regions")
    found = regions(study.main.configurations)
    if not found.empty:
        names = ", ".join(found["region"].unique())
        section.text.append(f"Every Dice above and below is the mean over the regions {names}.")
        section.tables.append(tables.by_region(found))
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
    factors = [each.factor for each in study.effects]
    _add(
        section,
        "curves",
        "Dice by epoch at the network's size; val solid with the band from the lowest to the "
        "highest seed, train (augmented, while learning) dashed."
        + _first(charts.MOST_FACTORS, len(factors), "factors"),
        charts.learning(members, factors),
    )
    if found:
        section.text.append(stopped(found))
        section.tables.append(tables.flat(found))
    return section


def _patients(study: Study) -> Section:
    section = Section("Patients")
    members = study.main.configurations
    if any(each.best.empty for each in members):
        return section
    table = hard(members)
    if table.empty:
        return section
    if "missing" not in table:
        section.text.append("The files of these cells do not tell which patients lack a sequence.")
    found = subgroups(members)
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


def _first(most: int, number: int, what: str) -> str:
    """What a figure leaves out, in words."""
    return f" The first {most} of {number} {what}." if number > most else ""


def _over(factors: list[str]) -> str:
    return f"; over {', '.join(factors)} it is the mean" if factors else ""
