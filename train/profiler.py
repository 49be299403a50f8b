# SPDX-License-Identifier: Apache-2.0
"""A trace of some steps of a run: what the hosts and the devices do, and when.

In: ``STEP:N`` and the run's folder. Out: ``profile/plugins/profile/step_STEP/`` in it, with files of every process, as
TensorBoard's profiler reads them.
"""

import dataclasses
import re
import tempfile
from pathlib import Path
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class ProfiledSteps:
    """Which steps are traced.

    Attributes:
        first: the first, counted from where this start of the run begins, from 1.
        count: how many.
    """

    first: int
    count: int


def parse_profiled_steps(text: str) -> ProfiledSteps:
    """Reads ``STEP:N``.

    Raises:
        ValueError: it is something else.
    """
    if not re.fullmatch(r"0*[1-9]\d*:0*[1-9]\d*", text):
        raise ValueError(
            f"--profile is {text!r}; expected STEP:N, two numbers from 1, such as 10:5 for five steps from the tenth "
            "on that this start makes."
        )
    return ProfiledSteps(*map(int, text.split(":")))


class Profiler:
    """Traces this process from the first of some steps to the last.

    Args:
        steps: which; None for none.
        done: how many steps of the run are done before this start.
        last: how many the run has.
        workdir: the run's folder.

    Raises:
        ValueError: this start does not reach them.
    """

    def __init__(self, steps: ProfiledSteps | None, done: int, last: int, workdir: Path):
        self._first = self._last = self._temporary = None
        if steps is None:
            return
        self._first, self._last = done + steps.first, done + steps.first + steps.count - 1
        self._folder = workdir / "profile" / "plugins" / "profile" / f"step_{self._first}"
        if self._last > last:
            raise ValueError(
                f"--profile {steps.first}:{steps.count} ends with step {steps.first + steps.count - 1} of this start, "
                f"which has {last - done}: the run is to have {last} steps, and {done} are done."
            )

    def begin(self, step: int, before: Any) -> None:
        """To be called before each step of the run, with arrays that are ready when the one before it is done."""
        if step == self._first:
            jax.block_until_ready(before)
            # Written here first: the profiler knows local disks alone, and hosts need not have names of their own.
            self._temporary = tempfile.TemporaryDirectory()
            jax.profiler.start_trace(self._temporary.name)

    def end(self, step: int, after: Any) -> None:
        """To be called after each step of the run, with arrays that are ready when it is done."""
        if step == self._last:
            jax.block_until_ready(after)
            self.close()

    def close(self) -> None:
        """Ends a trace that is being taken, and writes what there is of it."""
        if self._temporary is None:
            return
        jax.profiler.stop_trace()
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._temporary as folder:
            for file in Path(folder).rglob("*.*"):
                (self._folder / f"process_{jax.process_index():03}.{file.name}").write_bytes(file.read_bytes())
        self._temporary = None
