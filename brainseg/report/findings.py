"""What else a sweep shows, a sentence each; like the answer, never more than the tests allow."""

from brainseg.report.answer import signed
from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.effects import Effect
from brainseg.report.study import Judgement, Study
from brainseg.statistics import unpaired


def findings(study: Study) -> list[str]:
    """A sentence a finding: the winner against all, then every factor, then what could be shown."""
    if study.main.winner.leaky:
        return ["No difference is judged: on a leaky split it need not hold for other patients."]
    found = [_against(study.main)] if len(study.main.against) > 1 else []
    found += [_of_factor(each) for each in study.effects]
    found += leaks(study)
    if study.main.lead and study.main.lead.patients > 1:
        found.append(_power(study.main.lead))
    return found


def leaks(study: Study) -> list[str]:
    """What each leaky split adds to the score of the same configuration on an honest one.

    The two are tested on other slices, so their difference is unpaired.
    """
    tested = [each for members in study.groups for each in members if not each.best.empty]
    honest = {_but_split(each): each for each in reversed(tested) if not each.leaky}
    pairs = [(each, honest.get(_but_split(each))) for each in tested if each.leaky]
    return [_leak(leaky, twin) for leaky, twin in pairs if twin]


def _leak(leaky: Configuration, honest: Configuration) -> str:
    added = unpaired(*(each.best.to_numpy(dtype=float) for each in (leaky, honest)))
    more = "more" if added.mean >= 0 else "less"
    clear = added.low > 0 or added.high < 0
    return (
        f"LEAKY: {leaky.name} scores {signed(added)} {more} than {honest.name}, "
        f"{'beyond' if clear else 'within'} the noise; unpaired, since other slices are tested."
    )


def _but_split(each: Configuration) -> tuple[tuple[str, str], ...]:
    levels = each.levels.items()
    return tuple((name, level) for name, level in levels if name.partition(".")[0] != "split")


def _against(judgement: Judgement) -> str:
    counts: dict[str, int] = {}
    for each in judgement.against:
        counts[each.verdict] = counts.get(each.verdict, 0) + 1
    words = {
        "ahead": "ahead of {} beyond the noise of patients and seeds",
        "behind": "behind {} beyond that noise",
        "networks": "apart from {} beyond the noise of patients, by networks of one seed each",
        "seeds": "beyond the noise of patients, but within that of seeds, against {}",
        "noise": "within the noise against {}",
        "same": "equal on every patient to {}",
        "few": "tested on too few patients to tell it from {}",
    }
    said = [text.format(counts[key]) for key, text in words.items() if key in counts]
    return f"Of the {len(judgement.against)} others, the winner is {'; '.join(said)}."


def _of_factor(found: Effect) -> str:
    judged = " (judged on the last epoch)" if found.which == "last" else ""
    same = (
        f" At the best epoch {found.same} of the pairs are one and the same model."
        if found.same
        else ""
    )
    pairs = [each for each in found.pairs if each.patients]
    if not pairs:
        return f"{found.factor}: no two cells differ in it alone, so it cannot be judged."
    clear = [each for each in pairs if each.verdict in ("ahead", "behind", "networks")]
    if not clear:
        largest = max(pairs, key=lambda each: abs(each.difference.mean))
        least = min(each.detectable for each in pairs)
        said = f"no two levels are told apart; the largest difference is {_pair(largest)}"
        tail = f"less than {least:.3f} could hardly have been shown" if least == least else ""
        return f"{found.factor}{judged}: {'; '.join(t for t in (said, tail) if t)}.{same}"
    one = any(each.verdict == "networks" for each in clear)
    beyond = "patients, with one seed each" if one else "patients and seeds"
    said = "; ".join(_pair(each) for each in clear)
    return f"{found.factor}{judged}: beyond the noise of {beyond}: {said}.{same}"


def _pair(found: Comparison) -> str:
    level = [name.partition("=")[2] for name in (found.first, found.second)]
    if found.difference.mean < 0:
        level.reverse()
    return f"{level[0]} over {level[1]} by {signed(found.difference)}"


def _power(found: Comparison) -> str:
    seeds = "one seed" if found.seeds == 1 else f"{found.seeds} seeds"
    if found.seeds == 0:
        seeds = "no seed in common"
    least = f"{found.detectable:.3f}" if found.detectable < 1 else "any Dice"
    return (
        f"With {found.patients} test patients and {seeds}, a true lead of less than {least} would "
        "have been missed more than 1 time in 5."
    )
