# SPDX-License-Identifier: Apache-2.0
"""A training run from its first step, or from its latest checkpoint, to its last.

In: a `TrainConfig` and a folder, here or in a bucket. Out: in the folder ``checkpoints/STEP/``, ``config.json``,
metrics (`train.run_log`), and ``profile/`` where steps were traced. The same call again goes on where the checkpoints
end, and the result is that of a run that was never interrupted, bit for bit on the same devices.
"""

import contextlib
import dataclasses
import json
import math
import signal
import time
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from data.pipeline import Batches
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path
from sam2_jax.model import SAM2
from train.checkpoint import Checkpoints, state_bytes
from train.config import TrainConfig, check, check_space, write_config
from train.endings import NonFiniteLoss, Preempted
from train.evaluation import HeldOut
from train.hosts import announce
from train.initialization import initial_params
from train.metrics import Metrics, console
from train.profiler import ProfiledSteps, Profiler
from train.sharding import global_batch, make_mesh, parameter_shardings, place, replicated
from train.state import TrainState, abstract_state, new_state
from train.step import make_train_step
from train.throughput import Interval, Throughput

# What the step takes of a batch; the rest says where its clips come from.
_ARRAYS = ("frames", "masks", "valid", "colour")


def train(config: TrainConfig, workdir: Path, profiled: ProfiledSteps | None = None) -> TrainState:
    """Runs the training, or what is left of it; every process calls it alike.

    Args:
        profiled: steps to trace (`train.profiler`).

    Returns:
        The state after the last step.

    Raises:
        ValueError: the config does not fit the devices, the data, or itself; or this start does not reach `profiled`.
        CheckpointError: the folder has a checkpoint of another model, or `init_from` is of one.
        OSError: a checkpoint cannot be written.
        NonFiniteLoss: the loss is not finite; the latest checkpoint is from before.
        Preempted: SIGTERM came.
    """
    mesh, model = make_mesh(config.mesh), SAM2(config.model)
    check(config, mesh)
    abstract = abstract_state(model, config.optimizer, config.steps)
    workdir = as_path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    check_space(workdir, state_bytes(abstract), config.checkpoints)
    with contextlib.ExitStack() as stack:
        held_out = HeldOut(config.evaluation, model, mesh) if config.evaluation else None
        checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoints)
        stack.callback(checkpoints.close)
        first = checkpoints.latest() or 0
        profiler = Profiler(profiled, first, config.steps, workdir)
        stack.callback(profiler.close)
        batches = stack.enter_context(Batches(config.data, first, jax.process_index(), jax.process_count()))
        state = _begin(config, model, mesh, abstract, checkpoints)
        write_config(config, workdir)
        metrics = Metrics(workdir, first, config.steps, config.log_every)
        stack.callback(metrics.close)
        asked_to_end = stack.enter_context(_termination())
        stack.push(announce)

        throughput = Throughput(config, mesh)
        train_step = make_train_step(model, config, mesh)
        seed = place(np.uint32(config.seed), replicated(mesh))
        unread = None
        for step in range(first + 1, config.steps + 1):
            profiler.begin(step, state)
            began = time.perf_counter()
            batch = next(batches)
            arrays = global_batch(mesh, {name: batch[name] for name in _ARRAYS})
            waited = time.perf_counter() - began
            with jax.transfer_guard("disallow"), jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, values = train_step(state, arrays, seed)
            profiler.end(step, state)
            interval = throughput.begun(arrays, waited, metrics.writes_at(step))
            # While the devices work on this step, the metrics of the one before are read.
            if unread is not None:
                _read(unread, metrics, throughput, workdir)
            unread = _Step(step, values, batch, began, waited, interval)

            last, end = step == config.steps, asked_to_end(step)
            saves = last or end or step % config.checkpoints.every == 0
            evaluates = held_out is not None and not end and (last or step % config.evaluation.every == 0)
            if saves or evaluates:
                _read(unread, metrics, throughput, workdir)  # nothing is saved or evaluated that is not finite
                unread = None
            if evaluates:
                values, pictures = held_out.evaluate(state.params)
                metrics.write(step, values)
                metrics.show(step, "evaluation", pictures, config.evaluation.frames)
            if saves:
                metrics.end_part()
                checkpoints.save(state, model)
            if end and not last:
                checkpoints.wait()
                raise Preempted(f"Asked to end: step {step} is saved, and the same command goes on from there.")
        checkpoints.wait()
        return state


def _begin(config: TrainConfig, model: SAM2, mesh: Mesh, abstract: TrainState, checkpoints: Checkpoints) -> TrainState:
    """The state to go on from: that of the run's latest checkpoint, else of `init_from`, else a new one."""
    shardings = parameter_shardings(mesh, abstract)
    if checkpoints.latest() is not None:
        wanted = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings)
        state = checkpoints.restore(wanted, model)
        console.print(f"going on from step {int(state.step)} of {config.steps}", soft_wrap=True)
        return state
    params = initial_params(model, config.init_from, config.seed, config.location_aware_initialization)
    return place(jax.device_get(new_state(model, params, config.optimizer, config.steps)), shardings)


@dataclasses.dataclass(frozen=True)
class _Step:
    """A step that was begun, and whose metrics have not been read yet."""

    number: int
    metrics: dict[str, jax.Array]
    batch: dict
    began: float  # when, by `time.perf_counter`
    waited: float  # for its data, seconds
    interval: Interval | None = None  # that it is the last of


def _read(step: _Step, metrics: Metrics, throughput: Throughput, workdir: Path) -> None:
    """Waits for a step, and writes its metrics.

    Raises:
        NonFiniteLoss: they are not finite; the clips of the batch are written down.
    """
    values = {name: float(value) for name, value in jax.device_get(step.metrics).items()}
    if math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"]):
        times = throughput.done(step.began, step.interval) | {"time/data": step.waited}
        metrics.add(step.number, values | times)
        return
    file = workdir / f"not_finite_step_{step.number}_process_{jax.process_index()}.json"
    clips = {name: value.tolist() for name, value in step.batch.items() if name not in _ARRAYS}
    with replacing(file) as opened:
        opened.write(json.dumps({"step": step.number, "metrics": values, "clips": clips}, indent=1).encode())
    raise NonFiniteLoss(
        f"The loss of step {step.number} is {values['loss']} and its gradient is {values['gradient_norm']} long; "
        f"{file} says of which clips. The checkpoints are from before."
    )


@contextlib.contextmanager
def _termination():
    """A function of the step that says, alike in all processes, whether SIGTERM came."""
    if jax.process_count() > 1:
        # JAX's own handler tells the other processes, and all agree on a step.
        yield multihost_utils.reached_preemption_sync_point
        return
    came = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(True))
    try:
        yield lambda _: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)
