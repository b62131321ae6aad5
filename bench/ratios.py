"""Statistics of alternated pairs of measurements."""

import random
import statistics


def percentile(values, share):
    """Linear between ranks."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class Ratio:
    """The ratio of ours to theirs over pairs; the bounds are a bootstrap's of the median, from a fixed seed."""

    def __init__(self, pairs):
        self.ratios = [ours / theirs for ours, theirs in pairs]
        self.median = statistics.median(self.ratios)
        rng = random.Random(1)
        medians = [statistics.median(rng.choices(self.ratios, k=len(self.ratios))) for _ in range(2000)]
        self.low, self.high = percentile(medians, 0.025), percentile(medians, 0.975)

    def __str__(self):
        return f"{self.median:.2f}× ({self.low:.2f}–{self.high:.2f})"


def compared(runs, ours, peer, keys):
    """Cells of a table: each key's medians and their ratio, from runs that hold both sides' figures."""
    def cell(key):
        mine, theirs = (statistics.median(run[side][key] for run in runs) for side in (ours, peer))
        return f"{mine:.3g} / {theirs:.3g} = {Ratio([(run[ours][key], run[peer][key]) for run in runs])}"
    return [cell(key) for key in keys]
