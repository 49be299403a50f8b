# SPDX-License-Identifier: Apache-2.0
"""The table between our parameters and the published names: every tensor, both ways, nothing left over.

In and out: a flat ``{published name: array}`` in PyTorch's layouts, and our nested dict in Flax's. The attributes of
the modules bear the published names, so the table is a few rules: ``blocks_3`` is ``blocks.3``, a ``kernel`` is a
transposed ``weight``.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from flax import traverse_util

from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.model import SAM2, abstract_params


class Entry(NamedTuple):
    """One parameter: where it is in our tree, and the order of our axes in the published tensor."""

    path: tuple[str, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]  # published


def published_names(model: SAM2) -> dict[str, Entry]:
    """Every parameter of the model by its published name."""
    table = {}
    for path, leaf in traverse_util.flatten_dict(abstract_params(model)).items():
        axes = _published_axes(path, leaf.ndim)
        *modules, name = path
        name = {"kernel": "weight", "scale": "weight", "embedding": "weight"}.get(name, name)
        published = ".".join([*(re.sub(r"_(\d+)$", r".\1", module) for module in modules), name])
        table[published] = Entry(path, axes, tuple(leaf.shape[axis] for axis in axes))
    return table


def _published_axes(path: tuple[str, ...], rank: int) -> tuple[int, ...]:
    if path[-1] == "kernel" and rank == 2:
        return (1, 0)
    if path[-1] == "kernel" and path[-2].startswith("output_upscaling"):
        return (0, 3, 1, 2)  # a transposed convolution: (in, height, width, out) -> (in, out, height, width)
    if path[-1] == "kernel":
        return (3, 2, 0, 1)  # (height, width, in, out) -> (out, in, height, width)
    if path[-1] in ("pos_embed", "pos_embed_window"):
        return (0, 3, 1, 2)
    return tuple(range(rank))


def from_published(model: SAM2, state: Mapping[str, np.ndarray], source: str) -> dict:
    """A published state dict -> our parameters, float32.

    Args:
        source: where it came from, for the error.

    Raises:
        CheckpointError: tensors are missing, unused, of another shape or not finite; all are listed.
    """
    table = published_names(model)
    problems = _differences(table, state)
    if problems:
        raise CheckpointError(f"{source} does not hold the weights of {model.config.name}: {'; '.join(problems)}.")
    params = {
        entry.path: np.ascontiguousarray(np.transpose(state[name], np.argsort(entry.axes)), np.float32)
        for name, entry in table.items()
    }
    return traverse_util.unflatten_dict(params)


def to_published(model: SAM2, params: dict) -> dict[str, np.ndarray]:
    """Our parameters -> a published state dict, float32, in PyTorch's layouts."""
    flat = traverse_util.flatten_dict(params)
    table = published_names(model)
    return {
        name: np.ascontiguousarray(np.transpose(np.asarray(jax.device_get(flat[entry.path]), np.float32), entry.axes))
        for name, entry in table.items()
    }


def _differences(table: dict[str, Entry], state: Mapping[str, np.ndarray]) -> list[str]:
    """What keeps `state` from filling `table`, a phrase for each kind."""
    missing = [name for name in table if name not in state]
    unused = [name for name in state if name not in table]
    shared = [name for name in table if name in state]
    misshapen = [
        f"{name} is {tuple(state[name].shape)}, expected {table[name].shape}"
        for name in shared
        if tuple(state[name].shape) != table[name].shape
    ]
    not_finite = [name for name in shared if not np.isfinite(np.asarray(state[name], np.float32)).all()]
    kinds = {"missing": missing, "unused": unused, "of another shape": misshapen, "not finite": not_finite}
    return [f"{len(names)} {kind} ({', '.join(names)})" for kind, names in kinds.items() if names]
