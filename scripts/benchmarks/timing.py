# SPDX-License-Identifier: Apache-2.0
"""Times that can be trusted on a shared machine: the things compared are run in turn, and medians are given.

In: functions that do one piece of work each and wait for it. Out: seconds.
"""

import os
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

from sam2_jax.config import published_config
from sam2_jax.model import SAM2, abstract_params


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


def random_weights(name: str, image_size: int, dtype: str) -> tuple[SAM2, dict]:
    """A published model with random weights."""
    model = SAM2(published_config(name, image_size=image_size, dtype=dtype))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: 0.02 * rng.standard_normal(x.shape, np.float32), abstract_params(model))
    return model, jax.device_put(params)


def threads() -> int:
    """How many threads this process may use at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
