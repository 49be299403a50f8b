# SPDX-License-Identifier: Apache-2.0
"""Where every array of a training run lives: a mesh ("data", "fsdp"), one rule for parameters, one for batches.

In: how many devices each axis has, trees of arrays. Out: shardings, and global arrays from what each process has read.
The compiler places everything else, so that no layer of the model says anything about devices. Slices are TPUs that
reach each other over the data-center network alone: "data" spans them, and "fsdp" stays inside one, so that parameters
are never gathered from another slice.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

AXES = ("data", "fsdp")
# A smaller array costs less to keep everywhere than to gather.
_SHARDED_FROM = 2**14  # elements


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """How devices are laid out; a batch is divided over all of them.

    Attributes:
        data: how many copies of the parameters there are, over all slices; -1 for as many as the devices allow.
        fsdp: over how many devices of one slice each copy is divided.
    """

    data: int = -1
    fsdp: int = 1


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over all devices of all processes, or over those given; slice after slice along "data".

    Raises:
        ValueError: the axes do not multiply to the number of devices, or a copy of the parameters spans slices.
    """
    devices = jax.devices() if devices is None else devices
    data = len(devices) // max(config.fsdp, 1) if config.data == -1 else config.data
    if data * config.fsdp != len(devices) or min(data, config.fsdp) < 1:
        raise ValueError(
            f"mesh.data={config.data} and mesh.fsdp={config.fsdp} do not make up the {len(devices)} devices there are; "
            "expected two positive numbers whose product that is, or mesh.data=-1."
        )
    slices: dict[int, list[jax.Device]] = {}
    for device in devices:
        slices.setdefault(getattr(device, "slice_index", 0), []).append(device)
    for number, inside in slices.items():
        if len(inside) % config.fsdp:
            raise ValueError(
                f"mesh.fsdp={config.fsdp} does not fit inside one slice: slice {number} of {len(slices)} has "
                f"{len(inside)} devices; expected a divisor of {len(inside)}, so that no copy of the parameters spans "
                "slices."
            )
    # Each slice is laid out by itself, as its links allow.
    laid_out = [
        jax.make_mesh(
            (len(inside) // config.fsdp, config.fsdp), AXES, axis_types=(AxisType.Auto,) * 2, devices=inside
        ).devices
        for _, inside in sorted(slices.items())
    ]
    return Mesh(np.concatenate(laid_out), AXES, axis_types=(AxisType.Auto,) * 2)


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds all of it."""
    return NamedSharding(mesh, P())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis, that of clips, is divided over all devices."""
    return NamedSharding(mesh, P(AXES))


def parameter_shardings(mesh: Mesh, tree):
    """Shardings for parameters, and for whatever has their shapes, such as an optimizer's moments.

    The largest axis that the "fsdp" axis divides is divided over it; of equal ones the last, whose product with the
    activations needs the least traffic. What has no such axis, or is small, is replicated.
    """
    return jax.tree.map(lambda leaf: _sharding(mesh, leaf.shape), tree)


def _sharding(mesh: Mesh, shape: tuple[int, ...]) -> NamedSharding:
    parts = mesh.shape["fsdp"]
    divisible = [axis for axis, size in enumerate(shape) if size % parts == 0]
    if parts == 1 or np.prod(shape) < _SHARDED_FROM or not divisible:
        return replicated(mesh)
    largest = max(divisible, key=lambda axis: (shape[axis], axis))
    return NamedSharding(mesh, P(*(("fsdp" if axis == largest else None) for axis in range(len(shape)))))


def place(tree, shardings):
    """Arrays that every process holds alike -> global arrays; each process keeps the parts of its own devices."""

    def place_one(array, sharding):
        return jax.make_array_from_callback(np.shape(array), sharding, np.asarray(array).__getitem__)

    return jax.tree.map(place_one, tree, shardings)


def global_batch(mesh: Mesh, arrays: Mapping) -> dict:
    """What each process has read of a batch -> the batch, as global arrays divided over all devices.

    Args:
        arrays: a tree of arrays whose first axis is this process's clips; every process has equally many.
    """
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, np.asarray(array)), dict(arrays))
