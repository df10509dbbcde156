"""`make fuzz`: ten minutes of what people have and type; `make test-slow` has a few of them."""

import os

from hypothesis import HealthCheck, settings

QUICK = {"data": 15, "own": 15, "words": 15, "runs": 15}
LONG = {"data": 10000, "own": 4000, "words": 2500, "runs": 2500}

settings.register_profile(
    "brainseg",
    deadline=None,
    derandomize=not os.environ.get("BRAINSEG_FUZZ"),
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("brainseg")


def examples(kind: str) -> int:
    """How many examples of a kind are drawn."""
    return (LONG if os.environ.get("BRAINSEG_FUZZ") else QUICK)[kind]
