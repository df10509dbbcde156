"""The answer in plain words, derived; it never claims more than the tests allow."""

from collections.abc import Sequence

from brainseg.report.configurations import Configuration
from brainseg.report.effects import Effect
from brainseg.report.factors import phrase
from brainseg.report.rates import with_rate
from brainseg.report.resample import Interval
from brainseg.report.significance import Comparison
from brainseg.report.study import Judgement, Study

_ASKED = {"norm": "which norm", "loss": "which loss", "epochs": "how many epochs"}


def question(study: Study) -> str:
    """What the sweep asks, from its factors."""
    asked = [_ASKED.get(factor, f"which {factor}") for factor in study.factors]
    if not asked:
        return "How well does this configuration segment patients it has not seen?"
    listed = asked[0] if len(asked) == 1 else f"{', '.join(asked[:-1])} and {asked[-1]}"
    return f"{listed[0].upper()}{listed[1:]}: by how much, and is it more than chance?"


def answer(study: Study) -> str:
    """One sentence: what was chosen on val, its test Dice, and what may be said of its lead."""
    return sentence(study.main, rated=study.fair, elsewhere=len(study.groups) > 1)


def sentence(judgement: Judgement, *, rated: bool = False, elsewhere: bool = False) -> str:
    """The sentence of one judgement.

    Args:
        judgement: what to say.
        rated: whether to name the learning rate of the winner too.
        elsewhere: whether there are configurations of other splits.
    """
    winner = judgement.winner
    chosen = phrase(with_rate(winner)) if rated else winner.name
    alone = len(judgement.configurations) == 1
    only = "The only configuration of its split" if elsewhere else "Only one configuration"
    start = only if alone else "Chosen on validation"
    start += f": {chosen}" if winner.levels else ""
    if judgement.test is None:
        scores = f"val Dice {winner.val:.3f}; there are no test scores"
        return f"{start}; {scores}, so how good it is cannot be said."
    parts = [start, f"test Dice {span(judgement.test)}"]
    if winner.leaky:
        parts.append(
            "the split is LEAKY, patients are on both sides of it, so this says nothing of "
            "patients it has not seen"
        )
    elif judgement.lead and judgement.runner_up:
        others = sum(each.verdict != "same" for each in judgement.against)
        parts.append(lead(judgement.lead, unlike(judgement.runner_up, winner), others))
    elif alone:
        parts.append("there is nothing to compare it with")
    else:
        parts.append("the others are the same model or have no test scores")
    return "; ".join(parts) + "."


def lead(found: Comparison, rival: str, others: int = 1) -> str:
    """What may be said of the winner's lead over a rival, one of as many others."""
    size = signed(found.difference)
    ahead = found.difference.mean > 0
    one = f"its lead over {rival}, {size}," if ahead else f"on test it is behind {rival}, {size},"
    if found.patients == 0:
        return f"it and {rival} share no test patient, so they cannot be compared"
    match found.verdict:
        case "ahead":
            return f"{one} is beyond the noise of patients and seeds"
        case "behind":
            return f"{one} beyond the noise of patients and seeds: the choice did not hold"
        case "networks":
            verb = "is beyond" if ahead else "beyond"
            return (
                f"{one} {verb} the noise of patients, but with one seed nobody can say whether "
                "the method or its start is better"
            )
        case "seeds":
            verb = "is beyond" if ahead else "beyond"
            return (
                f"{one} {verb} the noise of patients, but within that of seeds, of which there are "
                f"{found.seeds}"
            )
        case "few":
            return f"{found.patients} test patients are too few to tell it from {rival}"
        case "same":
            return f"it and {rival} score the same on every test patient"
    verb = "is within" if ahead else "within"
    apart = not found.difference.low <= 0 <= found.difference.high
    why = f" (corrected for {others} comparisons)" if apart and others > 1 else ""
    if found.p_seeds is None:
        alone = "and one seed says nothing of that of seeds"
        return f"{one} {verb} the noise of patients{why}, {alone}"
    return f"{one} {verb} the noise of patients and seeds{why}"


def findings(study: Study) -> list[str]:
    """Further sentences, one a finding: the winner against all, then every factor."""
    if study.main.winner.leaky:
        return ["No difference is judged: on a leaky split it need not hold for other patients."]
    found = [_against(study.main)] if len(study.main.against) > 1 else []
    found += [_of_factor(each) for each in study.effects]
    if study.interactions:
        found.append(_interactions(study.interactions))
    if study.main.lead and study.main.lead.patients > 1:
        found.append(_power(study.main.lead))
    return found


def unlike(rival: Configuration, winner: Configuration) -> str:
    """What sets a rival apart from the winner, in words: `batch norm`, `dice, 50 epochs`."""
    differ = {k: v for k, v in rival.levels.items() if winner.levels.get(k) != v}
    return phrase(differ)


def span(value: Interval) -> str:
    """A score with its interval: `0.861 (0.832 to 0.884)`."""
    if value.low != value.low:
        return f"{value.mean:.3f} (one patient, no interval)"
    return f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def signed(value: Interval) -> str:
    """A difference without its sign, with its interval seen from that side."""
    if value.mean >= 0:
        return span(value)
    return span(Interval(-value.mean, -value.high, -value.low))


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


def _interactions(pairs: Sequence[Comparison]) -> str:
    clear = [each for each in pairs if each.verdict in ("ahead", "behind", "networks")]
    told = f"{len(clear)} of {len(pairs)}" if clear else "none of the"
    one_seed = all(each.p_seeds is None for each in pairs)
    noise = "patients, with one seed each" if one_seed else "patients and seeds"
    verb = "is" if len(clear) == 1 else "are"
    return f"Interactions: {told} differences of differences {verb} beyond the noise of {noise}."


def _pair(found: Comparison) -> str:
    level = [name.partition("=")[2] for name in (found.first, found.second)]
    if found.difference.mean < 0:
        level.reverse()
    return f"{level[0]} over {level[1]} by {signed(found.difference)}"


def _power(found: Comparison) -> str:
    seeds = "one seed" if found.seeds == 1 else f"{found.seeds} seeds"
    if found.seeds == 1 and found.p_seeds is not None:
        seeds = "no seed in common"
    least = f"{found.detectable:.3f}" if found.detectable < 1 else "any Dice"
    said = (
        f"With {found.patients} test patients and {seeds}, a true lead of less than {least} would "
        "have been missed more than 1 time in 5"
    )
    if found.verdict in ("ahead", "behind", "same"):
        return f"{said}."
    if found.p_seeds is None:
        return f"{said}; how many would settle the lead seen here cannot be said with one seed."
    if found.needed is None:
        return f"{said}; to settle the lead seen here takes more seeds, or over a million patients."
    if found.needed <= found.patients:
        return f"{said}."
    return f"{said}; to settle the lead seen here takes about {found.needed} test patients."
