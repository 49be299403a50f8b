# SPDX-License-Identifier: Apache-2.0
"""What a run says of itself: a line of JSON and TensorBoard scalars at intervals, pictures, and its progress.

In: the metrics of every step, as numbers. Out: lines and events in the run's folder (`train.run_log`), and a progress
line on standard error. Process 0 alone writes.
"""

import collections
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sam2_jax.media.overlays import contact_sheet
from train.run_log import RunLog

console = Console(stderr=True, highlight=False)


class Metrics:
    """Writes the metrics of one run, from a step on; what an earlier start wrote of later steps is removed."""

    def __init__(self, workdir: Path, first_step: int, steps: int, every: int):
        self._every, self._steps = every, steps
        self._sums: dict[str, float] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._writes = jax.process_index() == 0
        self._progress = None
        if not self._writes:
            return
        self._log = RunLog(workdir, first_step)
        if console.is_terminal:
            columns = MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
            self._progress = Progress(*columns, TextColumn("{task.fields[said]}"), console=console)
            self._progress.start()
            self._task = self._progress.add_task("training", total=steps, completed=first_step, said="compiling")
        self._started = time.monotonic(), first_step

    def writes_at(self, step: int) -> bool:
        """Whether a line follows this step."""
        return step % self._every == 0 or step == self._steps

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the metrics of a step that is done; at every so many, writes their means since the last time.

        Args:
            step: how many steps are done with this one.
            values: by name, ``time/step`` among them; NaN where there was nothing to measure.
        """
        for name, value in values.items():
            if not math.isnan(value):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] += 1
        if self.writes_at(step):
            means = {name: total / self._counts[name] for name, total in self._sums.items()}
            self._sums.clear()
            self._counts.clear()
            self.write(step, means)
            self._say(step, means)
        elif self._progress is not None:
            self._progress.update(self._task, completed=step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes values as they are, such as those of an evaluation."""
        if self._writes:
            self._log.write(step, values)

    def show(self, step: int, name: str, pictures: Sequence[np.ndarray], columns: int) -> None:
        """Writes pictures (H, W, 3) uint8 as one sheet, so many to a row."""
        if self._writes and pictures:
            self._log.show(step, name, contact_sheet(pictures, columns=columns))

    def end_part(self) -> None:
        """To be called before a checkpoint is saved (`RunLog.end_part`)."""
        if self._writes:
            self._log.end_part()

    def close(self) -> None:
        """Ends the progress line and the files."""
        if not self._writes:
            return
        if self._progress is not None:
            self._progress.stop()
        self._log.close()

    def _say(self, step: int, means: Mapping[str, float]) -> None:
        if not self._writes:
            return
        said = f"loss {means['loss']:.4g}, {1000 * means['time/step']:.0f} ms a step"
        if self._progress is not None:
            self._progress.update(self._task, completed=step, said=said)
            return
        began, first_step = self._started
        left = (time.monotonic() - began) / max(step - first_step, 1) * (self._steps - step)
        console.print(f"step {step}/{self._steps}: {said}, {_duration(left)} left", soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
