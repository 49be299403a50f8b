# SPDX-License-Identifier: Apache-2.0
"""Times that can be trusted on a shared machine: the things compared are run in turn, and medians are given.

In: functions that do one piece of work each and wait for it. Out: seconds.
"""

import statistics
import time
from collections.abc import Callable

import jax


def in_turn(functions: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Runs each function once to warm up, then all of them `runs` times in turn: the median seconds of each."""
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(runs):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def waiting(function: Callable, *arguments) -> Callable[[], object]:
    """The call, and the wait for what JAX only promised."""
    return lambda: jax.block_until_ready(function(*arguments))
