# SPDX-License-Identifier: Apache-2.0
"""The memory bank (section 4): what is remembered of each object, in arrays whose size never grows.

In: memories as they are made, each with the frame it is of. Out: what memory attention reads at a frame. Pure functions
over `MemoryBank`. Slots are tagged with their frame, and a slot that does not count is masked, so that the result is
that of a list of the ones that do.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from sam2_jax.config import SAM2Config

EMPTY = -(2**30)  # the tag of a slot that holds nothing: a frame far from any other


@struct.dataclass
class MemoryBank:
    """What is remembered of O objects in each of B videos.

    Attributes:
        prompted_maps: (B, O, K, h, w, memory channels) spatial memories of the K latest prompted frames.
        prompted_pointers: (B, O, K, C) object pointers of the same frames.
        prompted_frames: (B, O, K) int32 which frames they are, `EMPTY` where there is none.
        recent_maps: (B, O, R, h, w, memory channels) spatial memories of recent frames without a prompt; where memories
            are some frames apart, one slot more, the last, for the latest frame whichever it is.
        recent_frames: (B, O, R) int32.
        recent_pointers: (B, O, P, C) object pointers of recent frames; more of them, since they are small.
        recent_pointer_frames: (B, O, P) int32.
        max_pointer_distance: (B, O) int32 frames that the temporal code of pointers counts as 1.
        future_pointers: pointers of prompted frames that are still to come are read, too, as in training.
    """

    prompted_maps: jax.Array
    prompted_pointers: jax.Array
    prompted_frames: jax.Array
    recent_maps: jax.Array
    recent_frames: jax.Array
    recent_pointers: jax.Array
    recent_pointer_frames: jax.Array
    max_pointer_distance: jax.Array
    future_pointers: bool = struct.field(pytree_node=False, default=False)


@struct.dataclass
class Recollection:
    """What memory attention reads at one frame: packed, so that what counts comes first and lengths say the rest.

    Attributes:
        maps: (B, O, K + R, h, w, memory channels), `map_ages` (B, O, K + R) int32 their rows in the table of temporal
            codes, and `map_count` (B, O) int32 how many of them count.
        pointers: (B, O, K + P, C), `pointer_ages` (B, O, K + P) float32 how long ago they were made, as a share of
            `max_pointer_distance`, and `pointer_count` (B, O) int32 how many of them count.
    """

    maps: jax.Array
    map_ages: jax.Array
    map_count: jax.Array
    pointers: jax.Array
    pointer_ages: jax.Array
    pointer_count: jax.Array


def empty_memory(
    config: SAM2Config,
    videos: int = 1,
    objects: int = 1,
    prompted_frames: int = 1,
    dtype: str = "bfloat16",
    length: int | jax.Array | None = None,
    future_pointers: bool = False,
) -> MemoryBank:
    """A bank that remembers nothing.

    Args:
        prompted_frames: K, how many prompted frames of an object are kept; the oldest makes way (a FIFO, section 4).
        dtype: of the spatial memories; bfloat16 at inference, whatever the rest is computed in, as published.
        length: frames of the videos, a number for all or (B,) int32; None where it is not known. In shorter ones
            distances of pointers count more.
        future_pointers: as of `MemoryBank`.
    """
    side, many = config.embedding_size, (videos, objects)
    pointers = config.object_pointers - 1

    def maps(slots):
        return jnp.zeros((*many, slots, side, side, config.memory_dim), dtype)

    def tags(slots):
        return jnp.full((*many, slots), EMPTY, jnp.int32)

    return MemoryBank(
        prompted_maps=maps(prompted_frames),
        prompted_pointers=jnp.zeros((*many, prompted_frames, config.hidden_dim), jnp.float32),
        prompted_frames=tags(prompted_frames),
        recent_maps=maps(recent_slots(config)),
        recent_frames=tags(recent_slots(config)),
        recent_pointers=jnp.zeros((*many, pointers, config.hidden_dim), jnp.float32),
        recent_pointer_frames=tags(pointers),
        max_pointer_distance=jnp.full(many, jnp.reshape(max_pointer_distance(config, length), (-1, 1)), jnp.int32),
        future_pointers=future_pointers,
    )


def max_pointer_distance(config: SAM2Config, length: int | jax.Array | None = None) -> int | jax.Array:
    """Frames that the temporal code of pointers counts as 1: the most that there can be between two, as published.

    Args:
        length: frames of the video, or of several; None where it is not known.
    """
    most = max(config.object_pointers - 1, 1)
    if length is None:
        return most
    clip = jnp.clip if isinstance(length, jax.Array) else np.clip  # the host need not wait for a device
    return clip(length - 1, 1, most)


def recent_slots(config: SAM2Config) -> int:
    """R, how many slots a bank has for recent frames."""
    return config.recent_frames + (config.memory_stride > 1)


def reach(config: SAM2Config) -> int:
    """How many frames back a spatial memory may be and still be read."""
    return config.recent_frames * config.memory_stride


def forget_distance(config: SAM2Config) -> int:
    """How far from a prompt memories of tracking may be outdated, as published: one memory more than are read."""
    return reach(config) + config.memory_stride


def slots_read(
    config: SAM2Config, frame: int, direction: int = 1
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """On the host: which frames that were tracked are read at a frame, and the slots where `write` puts them.

    Returns:
        (frame, slot) of spatial memories, and of object pointers.
    """
    stride, ring, pointers = config.memory_stride, config.recent_frames, config.object_pointers - 1
    behind = [frame - direction * age for age in range(1, reach(config) + 1)]
    maps = [(index, index // stride % ring) for index in behind if index % stride == 0]
    if stride > 1:
        maps.append((frame - direction, ring))
    return maps, [(frame - direction * age, (frame - direction * age) % pointers) for age in range(1, pointers + 1)]


def write(
    config: SAM2Config,
    bank: MemoryBank,
    frame: jax.Array | int,
    maps: jax.Array,
    pointers: jax.Array,
    prompted: jax.Array,
    which: jax.Array | None = None,
) -> MemoryBank:
    """Remembers a frame.

    An object that is prompted on it remembers that in place of what tracking made of it; one that was prompted on it
    before keeps the memory it has.

    Args:
        frame: int32 index of the frame; (B, O) or (B, 1) where it is another for each object or video.
        maps: (B, O, h, w, memory channels), pointers: (B, O, C).
        prompted: (B, O) bool, the objects that are prompted on it.
        which: (B, O) bool, the objects that are to remember it; the others' memories stay. All without it.
    """
    which = jnp.ones_like(prompted) if which is None else which
    tracked = which & ~prompted & ~is_prompted(bank, frame)
    bank = _write_recent(config, bank, frame, maps, pointers, tracked)
    return _write_prompted(bank, frame, maps, pointers, which & prompted)


def is_prompted(bank: MemoryBank, frame: jax.Array | int) -> jax.Array:
    """(B, O) bool, the objects that were prompted on a frame; `frame` may be another for each, (B, O)."""
    return (bank.prompted_frames == jnp.asarray(frame)[..., None]).any(-1)


def _write_prompted(bank: MemoryBank, frame, maps, pointers, which: jax.Array) -> MemoryBank:
    """Remembers a prompted frame: in the slot that holds it already, else in a free one, else in the oldest."""
    bank = forget_near(bank, which, frame, distance=0)
    frame, frames = jnp.asarray(frame)[..., None], bank.prompted_frames
    # A slot of this very frame comes before an empty one, and that before the one of the lowest frame.
    rank = jnp.where(frames == frame, EMPTY - 1, frames)
    slot = jax.nn.one_hot(jnp.argmin(rank, axis=-1), frames.shape[-1], dtype=bool) & which[..., None]

    return bank.replace(
        prompted_maps=_put(bank.prompted_maps, slot, maps),
        prompted_pointers=_put(bank.prompted_pointers, slot, pointers),
        prompted_frames=jnp.where(slot, frame, frames),
    )


def _write_recent(config: SAM2Config, bank: MemoryBank, frame, maps, pointers, which: jax.Array) -> MemoryBank:
    """Remembers a frame without a prompt, in place of the one that is as many frames away as there are slots."""
    frame, stride, ring = jnp.asarray(frame)[..., None], config.memory_stride, config.recent_frames
    slots = jnp.arange(bank.recent_frames.shape[-1])
    map_slot = (slots == frame // stride % ring) & (frame % stride == 0) | (slots == ring)
    map_slot = map_slot & which[..., None]
    pointer_slots = jnp.arange(bank.recent_pointer_frames.shape[-1])
    pointer_slot = (pointer_slots == frame % len(pointer_slots)) & which[..., None]
    return bank.replace(
        recent_maps=_put(bank.recent_maps, map_slot, maps),
        recent_frames=jnp.where(map_slot, frame, bank.recent_frames),
        recent_pointers=_put(bank.recent_pointers, pointer_slot, pointers),
        recent_pointer_frames=jnp.where(pointer_slot, frame, bank.recent_pointer_frames),
    )


def forget(bank: MemoryBank, which: jax.Array) -> MemoryBank:
    """Empties the memory of the objects in `which` (B, O) bool."""
    names = ("prompted_frames", "recent_frames", "recent_pointer_frames")
    return bank.replace(**{name: jnp.where(which[..., None], EMPTY, getattr(bank, name)) for name in names})


def forget_near(bank: MemoryBank, objects: jax.Array, frame: jax.Array | int, distance: int) -> MemoryBank:
    """Forgets what `objects` (B, O) bool remember of tracking on frames up to a distance from a frame."""
    frame, names = jnp.asarray(frame)[..., None], ("recent_frames", "recent_pointer_frames")

    def without(tags):
        return jnp.where(objects[..., None] & (jnp.abs(tags - frame) <= distance), EMPTY, tags)

    return bank.replace(**{name: without(getattr(bank, name)) for name in names})


def read(config: SAM2Config, bank: MemoryBank, frame: jax.Array | int, direction: jax.Array | int = 1) -> Recollection:
    """What there is to remember at a frame.

    Recent memories are `config.memory_stride` frames apart, but for the latest. Of the prompted frames the nearest
    `config.attended_prompted_frames` are read as such; others that are recent are read as if they were not prompted.

    Args:
        frame: int32 index of the frame; (B, O) or (B, 1) where it is another for each object or video.
        direction: 1 where tracking goes forward in time, -1 where it goes back; (B, O) or (B, 1) likewise.
    """
    frame, direction = jnp.asarray(frame)[..., None], jnp.asarray(direction)[..., None]
    stride, nearest = config.memory_stride, config.attended_prompted_frames
    slots, count = jnp.arange(bank.recent_frames.shape[-1]), bank.recent_pointer_frames.shape[-1]
    recent = config.recent_frames
    row, wanted = _place(bank.recent_frames, frame, direction, stride, recent)
    if stride > 1:  # the latest frame may be in two slots
        wanted &= (row == 0) == (slots == recent)
    pointer_ages = (frame - bank.recent_pointer_frames) * direction

    there = bank.prompted_frames > EMPTY
    prompted_ages = (frame - bank.prompted_frames) * direction
    prompted, as_recent = there, jnp.zeros_like(there)
    prompted_row = jnp.zeros_like(bank.prompted_frames)
    if nearest is not None:
        prompted = there & _nearest(bank.prompted_frames, frame, nearest)
        prompted_row, as_recent = _place(bank.prompted_frames, frame, direction, stride, recent)
        as_recent &= ~prompted
    map_valid = jnp.concatenate([prompted | as_recent, wanted], axis=2)
    prompted_pointers = prompted if bank.future_pointers else prompted & (prompted_ages >= 0)
    if nearest is not None:
        prompted_pointers |= there & ~prompted & (prompted_ages >= 1) & (prompted_ages <= count)
    maps = jnp.concatenate([bank.prompted_maps, bank.recent_maps], axis=2)
    # The last row of the temporal codes is for prompted frames, the row before it for the oldest recent ones.
    map_ages = jnp.concatenate([jnp.where(prompted, recent, prompted_row), row], axis=2)
    pointers = jnp.concatenate([bank.prompted_pointers, bank.recent_pointers], axis=2)
    ages = jnp.concatenate([prompted_ages, pointer_ages], axis=2).astype(jnp.float32)
    ages /= bank.max_pointer_distance[..., None]
    pointer_valid = jnp.concatenate([prompted_pointers, (pointer_ages >= 1) & (pointer_ages <= count)], axis=2)
    (maps, map_ages), map_count = _pack(map_valid, maps, map_ages)
    (pointers, ages), pointer_count = _pack(pointer_valid, pointers, ages)
    # Padding rows have no valid memory. One slot counts all the same, so that their softmax, which nobody reads, is
    # finite.
    return Recollection(maps, map_ages, jnp.maximum(map_count, 1), pointers, ages, pointer_count)


def _pack(valid: jax.Array, *arrays: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """Slots (B, O, slots, ...) with those that count first, in their order; and how many count, (B, O) int32.

    Attention does not care about the order of its keys, and kernels take lengths where they would not take a mask.
    """
    order = jnp.argsort(~valid, axis=-1, stable=True)
    packed = [jnp.take_along_axis(x, order.reshape(*order.shape, *(1,) * (x.ndim - 3)), axis=2) for x in arrays]
    return packed, valid.sum(-1, dtype=jnp.int32)


def _place(tags: jax.Array, frame, direction, stride: int, recent: int) -> tuple[jax.Array, jax.Array]:
    """Which of the recent memories (0 the latest) each slot (B, O, slots) holds, and whether it holds one at all.

    `frame` and `direction` have an axis for the slots.
    """
    back, frame, direction = jnp.arange(recent), frame[..., None], direction[..., None]
    # The latest frame, then those whose number is a multiple of the stride.
    forward = (frame - 2) // stride * stride - (back - 1) * stride
    backward = -(-(frame + 2) // stride) * stride + (back - 1) * stride
    frames = jnp.where(back == 0, frame - direction, jnp.where(direction > 0, forward, backward))
    match = tags[..., None] == frames
    return jnp.argmax(match, axis=-1), match.any(-1)


def _nearest(tags: jax.Array, frame, most: int) -> jax.Array:
    """The nearest frame on either side, then others by their distance: (B, O, slots) bool."""
    before = jnp.where((tags < frame) & (tags > EMPTY), tags, EMPTY).max(-1, keepdims=True)
    after = jnp.where(tags >= frame, tags, -EMPTY).min(-1, keepdims=True)
    distance = jnp.where((tags == before) | (tags == after), -1, jnp.abs(tags - frame))
    distance = jnp.where(tags > EMPTY, distance, -EMPTY)
    return jnp.argsort(jnp.argsort(distance, stable=True), stable=True) < most


def _put(old: jax.Array, slot: jax.Array, new: jax.Array) -> jax.Array:
    """`new` (B, O, ...) in the marked slots (B, O, slots) of `old` (B, O, slots, ...)."""
    slot = slot.reshape(*slot.shape, *(1,) * (old.ndim - slot.ndim))
    return jnp.where(slot, new[:, :, None].astype(old.dtype), old)
