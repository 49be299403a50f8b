# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: written beside the training, whole or not at all, and read back onto any mesh.

In: a `TrainState` and its model. Out: ``DIRECTORY/STEP/`` with the items ``params`` (which `sam2_jax.load` of that
folder reads) and ``train`` (the step and the optimizer's state). No other file of this package imports Orbax.
"""

import contextlib
import dataclasses
import logging
import shutil
from pathlib import Path

import jax
from orbax.checkpoint import v1 as ocp

from sam2_jax.checkpoints import CheckpointError
from sam2_jax.config import SAM2Config, change
from sam2_jax.media.paths import absolute
from sam2_jax.model import SAM2
from train.initialization import differences
from train.state import TrainState

_PARAMS, _TRAIN = "params", "train"
_MODEL = "sam2_config"  # where `sam2_jax.load` looks for the model's config


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written and which are kept.

    Attributes:
        every: steps between two; the last step has one in any case.
        keep_last: how many of the latest are kept.
        keep_every: those of the steps that this number divides are kept for good; 0 for none.
    """

    every: int = 1000
    keep_last: int = 2
    keep_every: int = 0

    def __post_init__(self):
        for name, least in (("every", 1), ("keep_last", 1), ("keep_every", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"CheckpointConfig.{name} is {getattr(self, name)}; expected {least} or more.")


class Checkpoints:
    """The checkpoints of one run; every process calls the same methods at the same steps.

    Writing goes on while training does. A checkpoint that was cut short is never seen: its folder gets its name when it
    is complete.
    """

    def __init__(self, directory: Path, config: CheckpointConfig = CheckpointConfig()):
        policies = ocp.training.preservation_policies
        kept = [policies.LatestN(config.keep_last)]
        if config.keep_every:
            kept.append(policies.EveryNSteps(config.keep_every))
        self.directory = absolute(directory)
        self._orbax = ocp.training.Checkpointer(
            self.directory, preservation_policy=policies.AnyPreservationPolicy(kept), cleanup_tmp_directories=True
        )
        self._writing = None

    def latest(self) -> int | None:
        """The step of the latest checkpoint, or None where there is none."""
        latest = self._orbax.latest
        return None if latest is None else latest.step

    def save(self, state: TrainState, model: SAM2) -> None:
        """Begins to write a checkpoint; the state may be used up as soon as this returns.

        Raises:
            OSError: this checkpoint or the one before it could not be written, such as for want of space.
        """
        self.wait()
        step = int(state.step)
        if step == self.latest():
            return
        items = {_PARAMS: state.params, _TRAIN: {"step": state.step, "opt_state": state.opt_state}}
        metadata = {_MODEL: dataclasses.asdict(model.config)}
        with self._clear_errors(step):
            self._writing = (
                step,
                self._orbax.save_checkpointables_async(step, items, force=True, custom_metadata=metadata),
            )

    def wait(self) -> None:
        """Returns when the checkpoint that is being written is complete.

        Raises:
            OSError: it could not be written.
        """
        if self._writing is not None:
            (step, answer), self._writing = self._writing, None
            with self._clear_errors(step):
                answer.result()

    def restore(self, state: TrainState, model: SAM2) -> TrainState:
        """Reads the latest checkpoint.

        Args:
            state: shapes, types and shardings of what is to be read; those it was written with do not matter.

        Raises:
            CheckpointError: it is of another model, of another optimizer, or damaged.
        """
        step = self.latest()
        place = self.directory / str(step)
        try:
            metadata = self._orbax.checkpointables_metadata(step).custom_metadata or {}
        except Exception as error:  # Orbax raises what its storage raises
            raise CheckpointError(f"{place} is not a readable checkpoint: {_first_line(error)}") from error
        found = change(SAM2Config(), **metadata.get(_MODEL, {}))
        if different := differences(found, model.config) or differences(model.config, found):
            raise CheckpointError(
                f"{place} is a checkpoint of another model than this run's: {different}; give another --workdir."
            )
        items = {_PARAMS: state.params, _TRAIN: {"step": state.step, "opt_state": state.opt_state}}
        try:
            with _quiet():
                read = self._orbax.load_checkpointables(step, items)
        except Exception as error:
            raise CheckpointError(
                f"{place} does not hold a state of this run's optimizer, or is damaged: {_first_line(error)}"
            ) from error
        return TrainState(read[_TRAIN]["step"], read[_PARAMS], read[_TRAIN]["opt_state"])

    def close(self) -> None:
        """Waits for what is being written, and lets go of the directory."""
        try:
            self.wait()
        finally:
            with contextlib.suppress(Exception), _quiet():  # the failure of a write has been raised already
                self._orbax.close()

    @contextlib.contextmanager
    def _clear_errors(self, step: int):
        try:
            with _quiet():
                yield
        except Exception as error:  # Orbax raises what its storage raises
            space = "No space left" in str(error)  # which a bucket never says
            reason = "the disk is full" if space else _first_line(error)
            free = f" ({shutil.disk_usage(self.directory).free / 2**20:.0f} MB are free)" if space else ""
            before = self._orbax.latest
            kept = "no checkpoint is" if before is None else f"that of step {before.step} is the latest"
            raise OSError(
                f"The checkpoint of step {step} could not be written to {self.directory}: {reason}{free}; {kept}."
            ) from error


def state_bytes(state: TrainState) -> int:
    """How much a checkpoint of the state takes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


@contextlib.contextmanager
def _quiet():
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # Orbax logs each thread's copy of an error that is raised anyway
    try:
        yield
    finally:
        logger.setLevel(level)


def _listed(value):
    return list(value) if isinstance(value, tuple) else value


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
