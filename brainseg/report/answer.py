"""The answer in plain words, derived; it never claims more than the tests allow."""

from brainseg.report.comparison import Comparison
from brainseg.report.configurations import Configuration
from brainseg.report.factors import phrase
from brainseg.report.rates import with_rate
from brainseg.report.study import Judgement, Study
from brainseg.statistics import Interval

_ASKED = {"norm": "which norm", "loss": "which loss", "epochs": "how many epochs"}


def question(study: Study) -> str:
    """What the sweep asks: its cells' `question` where they have one, else from its factors."""
    own = {result.config.get("question") for result in study.found.results}
    if len(own) == 1 and (told := own.pop()):
        return str(told)
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
            number = f"there are {found.seeds}" if found.seeds else "they share none"
            noise = "the noise of patients, but within that of seeds"
            return f"{one} {verb} {noise}, of which {number}"
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
