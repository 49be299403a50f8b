# SPDX-License-Identifier: Apache-2.0
"""What was made last is kept at hand, up to a limit.

In: a key, and how to make what it stands for. Out: the same thing again, made anew only where it was not used for long.
"""

import collections
import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

Made = TypeVar("Made")


class Recent:
    """For several threads, which may now and then make the same thing twice."""

    def __init__(self, limit: int):
        """Args:
        limit: the most weight that is kept; the last thing used is kept whatever it weighs.
        """
        self._limit, self._total = limit, 0
        self._kept: collections.OrderedDict[Hashable, tuple] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Made], weight: int = 1) -> Made:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made, weight
                self._total += weight
            while self._total > self._limit and len(self._kept) > 1:
                self._total -= self._kept.popitem(last=False)[1][1]
        return made
