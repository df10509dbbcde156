"""How much the leak inflates on the very same slices, from two `slices.csv` of brainseg.evaluate.

    python same_slices.py HONEST/evaluate/test-best/slices.csv LEAKY/evaluate/test-best/slices.csv

The leaky run was trained on other slices of the patients that the honest one has never seen. Both
test some slices of these patients; a patient's Dice here is that of these slices together.
"""

import sys

import pandas as pd

from brainseg.report.paired import signed_rank
from brainseg.statistics import interval

COUNTS = ["tp", "predicted", "target"]
tables = [pd.read_csv(path).set_index(["patient", "slice"])[COUNTS] for path in sys.argv[1:3]]
shared = tables[0].index.intersection(tables[1].index)
sums = [table.loc[shared].groupby("patient").sum() for table in tables]
known = sums[0].index[sums[0]["target"] > 0]
honest, leaky = (2 * s["tp"][known] / (s["predicted"] + s["target"])[known] for s in sums)
gain = interval((leaky - honest).to_numpy()[None])
p = signed_rank((leaky - honest).to_numpy())
sys.stdout.write(
    f"{len(shared)} slices, {len(known)} patients with tumour on them: split by patient "
    f"{honest.mean():.3f}, by slice {leaky.mean():.3f}, difference {gain.mean:.3f} "
    f"({gain.low:.3f} to {gain.high:.3f}), Wilcoxon p {p:.3f}\n"
)
