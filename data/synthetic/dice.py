# SPDX-License-Identifier: Apache-2.0
"""All that is drawn by chance for one made-up video.

In: the numbers that name the video. Out: numbers, choices and smooth curves, the same ones every time. Everything is
made of one stream of doubles in [0, 1), whose bytes NumPy keeps from version to version, unlike those of its other
distributions.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np


class Dice:
    """Draws, each of which follows from those before it. Not for several threads at once."""

    def __init__(self, *entropy: int):
        """Args:
        entropy: integers of at least 0; other integers give independent draws.
        """
        self._next = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy))).random

    def chance(self, probability: float) -> bool:
        return self._next() < probability

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * self._next()

    def log_uniform(self, low: float, high: float) -> float:
        return low * (high / low) ** self._next()

    def normal(self, deviation: float = 1.0) -> float:
        """A bell curve, as the sum of four uniform draws: never beyond 3.5 deviations."""
        return deviation * math.sqrt(3) * (self._next() + self._next() + self._next() + self._next() - 2)

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return low + int((high - low + 1) * self._next())

    def choice(self, options: Sequence, weights: Sequence[float] | None = None):
        if weights is None:
            return options[int(len(options) * self._next())]
        rest = sum(weights) * self._next()
        for option, weight in zip(options, weights, strict=True):
            rest -= weight
            if rest < 0:
                return option
        return options[-1]

    def weighted(self, weights: Mapping):
        """One of the keys, as often as its value says."""
        return self.choice(tuple(weights), tuple(weights.values()))

    def sample(self, options: Sequence, count: int) -> list:
        """Different ones of the options, in random order; all of them where there are not as many."""
        left = list(options)
        return [left.pop(int(len(left) * self._next())) for _ in range(min(count, len(left)))]

    def sign(self) -> int:
        return 1 if self._next() < 0.5 else -1

    def angle(self) -> float:
        return 2 * math.pi * self._next()

    def array(self, *shape: int) -> np.ndarray:
        """Doubles in [0, 1)."""
        return self._next(shape)

    def curve(self, frames: int, period: float, waves: int = 3) -> np.ndarray:
        """(frames,) a smooth curve, within -1 and 1, that rises and falls about once in `period` frames."""
        time = np.arange(frames)
        total = np.zeros(frames)
        for wave in range(waves):
            turns = self.uniform(0.6, 1.4) * (1 + wave) / period
            total += np.sin(2 * math.pi * turns * time + self.angle()) / (1 + wave)
        return total / sum(1 / (1 + wave) for wave in range(waves))
