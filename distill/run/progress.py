"""How labelling goes on: labels so far, what one takes, and what is left."""

import math
import time

from distill.run.job import Job
from distill.train.grow import Growing

SECONDS_BETWEEN = 60.0
"""From one line in the log to the next."""


class LabelCount:
    """Counts the labels in ``data``."""

    def __init__(self, job: Job, data: Growing) -> None:
        self.job = job
        self.data = data
        self._said, self._when = len(data), time.monotonic()

    def sentence(self) -> str:
        """Labels, seconds a label, and how long the rest will take."""
        count, wanted = len(self.data), self.job.settings.labels
        each = self.data.seconds_each
        text = f"{count} labels" if wanted is None else f"{count} of {wanted} labels"
        if math.isfinite(each):
            text += f", {each:.3g} s each"
        if wanted is not None and count >= wanted:
            return f"{text}: all are there."
        if wanted is not None and math.isfinite(each):
            left = (wanted - count) * each / self.job.explorers()
            text += f"; {left / 60:.0f} min to go" if left > 90 else f"; {left:.0f} s to go"
        return f"{text}."

    def now_and_then(self) -> None:
        """Says so, when there is something new and the last time was a minute ago; what of the
        budget is spent is noted, too."""
        self.job.clock.spent()
        now = time.monotonic()
        if len(self.data) > self._said and now - self._when > SECONDS_BETWEEN:
            self._said, self._when = len(self.data), now
            self.job.say(self.sentence())
