# SPDX-License-Identifier: Apache-2.0
"""The `MemoryBank` that objects have before any frame, gathered from what their session keeps.

In: `TrackedObject`s. Out: one bank, whose size does not depend on the video; its arrays are stacked on the device.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax.config import SAM2Config
from sam2_jax.memory_bank import EMPTY, MemoryBank, empty_memory, max_pointer_distance, recent_slots, slots_read
from sam2_jax.session.objects import Result, TrackedObject


def gather_memory(
    config: SAM2Config,
    objects: Sequence[TrackedObject],
    frames: Sequence[int],
    direction: int,
    length: int,
    rows: int,
    slots: int,
    maps_of: Callable[[int, Result], jax.Array],
    sharding: jax.sharding.Sharding | None = None,
) -> MemoryBank:
    """Every prompted frame of each object, and the tracked frames near behind the one that it is about to see.

    Args:
        frames: one for each object.
        direction: 1 where tracking goes forward in time, -1 where it goes back.
        length: frames of the video.
        rows: objects of the bank, at least those there are.
        slots: prompted frames of an object, at least those there are.
        maps_of: gives the spatial memory of a result on a frame, made again where it was let go.
        sharding: of the bank; that of the spatial memories without it.
    """
    bank = jax.tree.map(np.copy, _empty(config, rows, slots)).replace(
        max_pointer_distance=np.full((1, rows), max_pointer_distance(config, length), np.int32)
    )
    nothing = np.zeros((config.embedding_size,) * 2 + (config.memory_dim,), jnp.bfloat16)
    prompted_maps = [[nothing] * slots for _ in range(rows)]
    recent_maps = [[nothing] * recent_slots(config) for _ in range(rows)]
    for row, (item, frame) in enumerate(zip(objects, frames, strict=True)):
        for slot, (index, result) in enumerate(item.prompted.items()):
            prompted_maps[row][slot] = maps_of(index, result)
            bank.prompted_pointers[0, row, slot] = result.pointer
            bank.prompted_frames[0, row, slot] = index
        map_slots, pointer_slots = slots_read(config, frame, direction)
        for index, slot in pointer_slots:
            if index in item.tracked:
                bank.recent_pointers[0, row, slot] = item.tracked[index].pointer
                bank.recent_pointer_frames[0, row, slot] = index
        for index, slot in map_slots:
            if index in item.tracked:
                recent_maps[row][slot] = maps_of(index, item.tracked[index])
                bank.recent_frames[0, row, slot] = index
    return _stacked(sharding)(bank.replace(prompted_maps=prompted_maps, recent_maps=recent_maps))


@functools.lru_cache(maxsize=64)
def _empty(config: SAM2Config, rows: int, slots: int) -> MemoryBank:
    """A bank of NumPy arrays that remembers nothing, without spatial memories."""
    shapes = jax.eval_shape(lambda: empty_memory(config, 1, rows, slots)).replace(prompted_maps=None, recent_maps=None)
    return jax.tree.map(lambda x: np.full(x.shape, EMPTY if x.dtype == jnp.int32 else 0, x.dtype), shapes)


@functools.cache
def _stacked(sharding: jax.sharding.Sharding | None) -> Callable[[MemoryBank], MemoryBank]:
    """Stacks lists of spatial memories by object and slot -> (1, O, slots, h, w, memory channels).

    Inside of `jax.jit`, since `jax.device_put` takes an array from some devices to others through the host.
    """

    def stack(bank: MemoryBank) -> MemoryBank:
        prompted, recent = (
            jnp.stack([jnp.stack(slots) for slots in maps])[None] for maps in (bank.prompted_maps, bank.recent_maps)
        )
        return bank.replace(prompted_maps=prompted, recent_maps=recent)

    return jax.jit(stack, out_shardings=sharding)
