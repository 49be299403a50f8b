# SPDX-License-Identifier: Apache-2.0
"""How well a run uses its machines: clips a second, the share of the chips' best, waiting for data, memory.

In: what each step took. Out: at every line of metrics, numbers of the steps since the line before: of the run as a
whole, and of each host where there are several, since one slow host is what all others wait for.
"""

import collections
import dataclasses
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from sam2_jax.config import change
from sam2_jax.model import SAM2
from train.chips import peak_speed
from train.config import TrainConfig
from train.frame import Rematerialise
from train.operations import operations
from train.prompts import SimulatedUser
from train.sharding import global_batch, replicated
from train.state import abstract_state
from train.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Interval:
    """Steps that were begun between two lines of metrics.

    Attributes:
        clips: of their batches, over all hosts.
        operations: of all devices; NaN where that is not counted.
        hosts: (devices, 2) float32, the seconds that each device's host waited for data, and its bytes at their peak,
            NaN where the backend does not say. It is ready when the last of the steps is done, and not waited for.
    """

    clips: int
    operations: float
    hosts: jax.Array


class Throughput:
    """Counts steps; every process calls the same methods at the same steps.

    Args:
        config: of the run.
        mesh: its devices.
    """

    def __init__(self, config: TrainConfig, mesh: Mesh):
        self._config, self._mesh = config, mesh
        self._peak = peak_speed(mesh.devices.flat[0].device_kind)
        self._counted: dict[tuple[int, ...], float] = {}
        self._on_all = jax.jit(lambda x: x, out_shardings=replicated(mesh))
        self._begun: collections.Counter[str] = collections.Counter()
        self._seconds, self._last = 0.0, 0.0

    def begun(self, batch: Mapping, waited: float, closes: bool) -> Interval | None:
        """To be called when a step was given to the devices.

        Args:
            batch: global arrays.
            waited: seconds that this process waited for them.
            closes: whether a line of metrics follows the step.

        Returns:
            The steps since the last line, where it closes.
        """
        self._begun.update(clips=batch["frames"].shape[0], operations=self._operations(batch), waited=waited)
        if not closes:
            return None
        sums, self._begun = self._begun, collections.Counter()
        mine = np.array([[sums["waited"], _peak_bytes()]] * jax.local_device_count(), np.float32)
        hosts = self._on_all(global_batch(self._mesh, {"hosts": mine})["hosts"])
        return Interval(sums["clips"], sums["operations"], hosts)

    def done(self, began: float, interval: Interval | None) -> dict[str, float]:
        """To be called when a step is done.

        Args:
            began: when it was begun, by `time.perf_counter`; perhaps before the one before it was done.
            interval: what `begun` returned for it.

        Returns:
            ``time/step``, the seconds since the step before it, without an evaluation between them. Behind an interval
            also, as means over it: ``clips_per_second_per_chip``; ``model_flops_utilization``, where the chip's best is
            known, of `step_operations`; ``time/data_share`` of the host that waited longest and ``peak_bytes`` of the
            one that used most; and ``hosts/data_share/007``, ``hosts/peak_bytes/007`` of each, where there are several.
        """
        now = time.perf_counter()
        seconds = now - max(began, self._last)
        self._last, self._seconds = now, self._seconds + seconds
        values = {"time/step": seconds}
        if interval is None:
            return values
        elapsed, self._seconds = self._seconds, 0.0
        devices = self._mesh.size
        values["clips_per_second_per_chip"] = interval.clips / elapsed / devices
        if self._peak is not None:
            values["model_flops_utilization"] = interval.operations / elapsed / devices / self._peak
        hosts = self._rows(jax.device_get(interval.hosts))
        shares = {host: min(waited / elapsed, 1.0) for host, (waited, _) in hosts.items()}
        peaks = {host: peak for host, (_, peak) in hosts.items() if not np.isnan(peak)}
        for total, name, of_hosts in (("time/data_share", "data_share", shares), ("peak_bytes", "peak_bytes", peaks)):
            if of_hosts:
                values[total] = float(max(of_hosts.values()))
            if len(hosts) > 1:
                values |= {f"hosts/{name}/{host:03}": float(value) for host, value in of_hosts.items()}
        return values

    def _operations(self, batch: Mapping) -> float:
        if self._peak is None:
            return float("nan")
        shape = batch["masks"].shape
        if shape not in self._counted:
            self._counted[shape] = step_operations(self._config, self._mesh, batch)
        return self._counted[shape]

    def _rows(self, of_devices: np.ndarray) -> dict[int, np.ndarray]:
        """One row of each host's devices, which have equal ones."""
        rows = {device.process_index: row for device, row in zip(self._mesh.devices.flat, of_devices)}
        return dict(sorted(rows.items()))


def _peak_bytes() -> float:
    """The most memory that was in use on a device of this process since it began."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    return max(each.get("peak_bytes_in_use", float("nan")) for each in stats)


def step_operations(config: TrainConfig, mesh: Mesh, batch: Mapping) -> float:
    """Operations of a training step on all devices together: of its matrix products and convolutions.

    They are those of the mathematics, whatever a machine makes of it: nothing is computed twice (no rematerialisation),
    and attention is written out. Where frames differ in what they need, as the simulated user prompts them or clicks on
    them, it is the mean over the user's draws. Every slot of the memory counts, since every one is computed.
    """
    config = dataclasses.replace(
        config,
        model=change(config.model, attention="xla"),
        rematerialise=Rematerialise(encoder=False, memory=False, decoder=False),
    )
    model = SAM2(config.model)
    state = abstract_state(model, config.optimizer, config.steps)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dict(batch))
    traced = make_train_step(model, config, mesh).trace(state, batch, jax.ShapeDtypeStruct((), jnp.uint32))
    return operations(traced.jaxpr.jaxpr, taken_on_average(config.user, batch["frames"].shape[1]))


def taken_on_average(user: SimulatedUser, frames: int) -> dict[tuple[int, ...], float]:
    """How often a training step takes the dearer way, as `operations` wants it: the mean over what the user may do.

    Every frame is asked for once, and clicked on if it is one of those to correct; it attends to the memory unless it
    is prompted.
    """
    steps, masks = 1 + user.clicks, user.mask_probability if frames > 1 else 0.0
    clicked = tracked = 0.0
    for prompted in range(1, user.prompted_frames + 1):
        several = range(prompted, user.corrected_frames + 1)
        for corrected in several:
            chance = 1 / user.prompted_frames / len(several)
            first, most = min(prompted, frames), min(corrected, frames)
            after_masks = most - first if user.corrects_after_masks else 0
            tracked += chance * (frames - first)
            clicked += chance * ((1 - masks) * most + masks * after_masks)
    return {(frames, steps): (frames + clicked * user.clicks) / (frames * steps), (frames,): tracked / frames}
