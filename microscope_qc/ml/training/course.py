"""How far a training is, when it looks how good the model has become, and how long the rest takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

ROUNDS = 20
"""Parts of a training that is limited by its time; after each there is a point of the curve."""
FIRST_LOOK = 4
"""The round after which such a training measures the model for the first time."""
LOOKING_SHARE = 0.06
"""Of its time, at most, for further measurements."""
AT_THE_END = 3
"""Measurements that follow the last step: to choose the best, to calibrate it, and of what is stored."""
_NEWEST = 0.1
"""Weight of the last step in the time that a step takes."""


@dataclass
class Course:
    """A training goes on for a number of passes over the data, or as long as it may take.

    All but the first four attributes change during the training.

    Attributes
    ----------
    per_pass
        Steps of one pass.
    passes
        How many there are, unless the time is limited.
    limit_s
        Time that the training may take in all; None for a number of passes.
    measure_every
        Passes between two measurements, unless the time is limited.
    step, seconds
        What is done so far.
    closed
        Rounds (passes, or parts of the time) that have a point of the curve.
    measured_at, measuring_s
        When the model was measured last, and how long that takes at most; seconds.
    """

    per_pass: int
    passes: int
    limit_s: float | None = None
    measure_every: int = 1
    step: int = 0
    seconds: float = 0.0
    closed: int = 0
    measured_at: float = 0.0
    measuring_s: float = 0.0
    step_s: float | None = None

    @property
    def share(self) -> float:
        """Share of the training that is done, 0 to 1."""
        if self.limit_s is None:
            return min(1.0, self.step / (self.per_pass * self.passes))
        room = self.limit_s - AT_THE_END * self.measuring_s
        return min(1.0, self.seconds / room) if room > 0 else 1.0

    @property
    def done(self) -> bool:
        """Whether no step follows."""
        return self.step > 0 and self.share >= 1

    @property
    def steps(self) -> int:
        """Steps in all: with a limited time as many as there will be at the present speed."""
        if self.limit_s is None:
            return self.per_pass * self.passes
        return max(self.step, round(self.step / self.share)) if self.share > 0 else 0

    @property
    def rounds(self) -> int:
        """Rounds that have ended."""
        return self.step // self.per_pass if self.limit_s is None else int(self.share * ROUNDS)

    @property
    def passed(self) -> float:
        """Passes over the data so far."""
        return self.step / self.per_pass

    @property
    def measures(self) -> bool:
        """Whether the model is to be measured after the round that has just ended."""
        if self.done:
            return True
        if self.limit_s is None:
            return self.rounds % self.measure_every == 0
        since = self.seconds - self.measured_at
        return self.rounds >= FIRST_LOOK and self.measuring_s <= LOOKING_SHARE * since

    @property
    def seconds_left(self) -> float | None:
        """What the rest takes."""
        if self.limit_s is not None:
            return max(0.0, self.limit_s - self.seconds)
        if self.step_s is None:
            return None
        left = self.steps - self.step
        measurements = math.ceil(left / (self.per_pass * self.measure_every)) + AT_THE_END - 1
        return left * self.step_s + measurements * self.measuring_s

    @property
    def words(self) -> str:
        """For the user: where in the training this is."""
        if self.limit_s is not None:
            return f"{self.passed:.1f} passes"
        return f"epoch {min(self.step // self.per_pass + 1, self.passes)} of {self.passes}"

    def stepped(self, took_s: float) -> None:
        """A step was done."""
        self.step += 1
        before = took_s if self.step_s is None else self.step_s
        self.step_s = before + _NEWEST * (took_s - before)

    def measured(self, took_s: float) -> None:
        """The model has been measured just now."""
        self.measured_at, self.measuring_s = self.seconds, max(self.measuring_s, took_s)

    def state(self) -> dict[str, float]:
        """What changes, for a checkpoint."""
        return {name: getattr(self, name) for name in ("step", "seconds", "closed", "measured_at", "measuring_s")}

    def go_on_from(self, state: dict[str, float]) -> None:
        """Continue from the state in a checkpoint."""
        for name, value in state.items():
            setattr(self, name, value)
