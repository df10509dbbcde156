"""Side by side: contenders take turns, so that a slow minute of the machine hits all of them."""

import math
import time
from collections.abc import Callable, Mapping

Contender = Callable[[], float]  # does its work once and returns what was measured


def interleave(
    contenders: Mapping[str, Contender], rounds: int, seconds: float = math.inf
) -> dict[str, list[float]]:
    """Measure A B C A B C ..., after one turn each that does not count.

    Args:
        contenders: by name.
        rounds: turns that count.
        seconds: after which no further round begins; one is always measured.

    Returns:
        A value a round, by name.
    """
    for contender in contenders.values():
        contender()
    values: dict[str, list[float]] = {name: [] for name in contenders}
    end = time.monotonic() + seconds
    for number in range(rounds):
        if number and time.monotonic() > end:
            break
        for name, contender in contenders.items():
            values[name].append(contender())
    return values
