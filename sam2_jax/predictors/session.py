# SPDX-License-Identifier: Apache-2.0
"""What a video session holds: its frames, each object's prompts and results, and the memory made from them.

In: results as they come. Out: the `MemoryBank` that any frame sees, whichever way the video is tracked. On the device
there are one bank, whose size does not depend on the video, and the spatial memories of the few frames that may be read
next; on the host there are the low-resolution masks of the frames that were visited.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import transfer
from sam2_jax.config import SAM2Config
from sam2_jax.media.videos import Video
from sam2_jax.memory_bank import EMPTY, MemoryBank, empty_memory, max_pointer_distance, recent_slots, slots_read
from sam2_jax.predictors.prompts import bucket
from sam2_jax.types import FrameFeatures, MaskPrediction


@dataclasses.dataclass
class Result:
    """What is known of one object on one frame.

    Attributes:
        logits: (S/4, S/4) float32, iou and object_score: numbers, pointer: (C,) as of `MaskPrediction`.
        hard: the user has seen it, and its memory is made of a hard mask, whatever becomes of its prompts.
        maps: (h, w, memory channels) spatial memory; None until it is made, or once it was let go.
    """

    logits: np.ndarray
    iou: float
    object_score: float
    pointer: np.ndarray
    hard: bool = False
    maps: jax.Array | None = None


@dataclasses.dataclass
class TrackedObject:
    """One object of a session.

    Attributes:
        points: by frame, the clicks and boxes so far: (N, 2) pixels of the model input, and (N,) labels.
        prompted: by frame, results that the user gave prompts for: each is a memory of its own.
        tracked: by frame, results of tracking.
        pending: by frame, results of prompts since the last propagation, and whether they will count as prompted.
        steps: by frame, the direction (1 or -1) in which it was last tracked.
    """

    points: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)
    prompted: dict[int, Result] = dataclasses.field(default_factory=dict)
    tracked: dict[int, Result] = dataclasses.field(default_factory=dict)
    pending: dict[int, tuple[Result, bool]] = dataclasses.field(default_factory=dict)
    steps: dict[int, int] = dataclasses.field(default_factory=dict)

    def result(self, frame: int, counts: bool | None = None) -> Result | None:
        """The latest word on a frame; of prompts since the last propagation only those that will count, or will not."""
        if frame in self.pending and counts in (None, self.pending[frame][1]):
            return self.pending[frame][0]
        return self.prompted.get(frame) or self.tracked.get(frame)


@dataclasses.dataclass
class VideoSession:
    """The state of one video: its frames, the latest encoded ones, and its objects in the order they came."""

    video: Video
    objects: dict[int, TrackedObject] = dataclasses.field(default_factory=dict)
    features: OrderedDict[int, FrameFeatures] = dataclasses.field(default_factory=OrderedDict)

    @property
    def obj_ids(self) -> list[int]:
        return list(self.objects)


def split(prediction: MaskPrediction, count: int, maps: Sequence[jax.Array] = ()) -> list[Result]:
    """The results of the first `count` objects of one frame of one video, and their spatial memories, if there are."""
    on_host = transfer.to_host(prediction)
    return [
        Result(
            logits=on_host.logits[0, row],
            iou=float(on_host.iou[0, row]),
            object_score=float(on_host.object_score[0, row]),
            pointer=on_host.pointer[0, row],
            maps=maps[row] if maps else None,
        )
        for row in range(count)
    ]


def join(results: Sequence[Result]) -> MaskPrediction:
    """Results of one frame as the prediction they came from: (1, O, ...), O a bucket's size."""
    rows = bucket(len(results))

    def stack(field):
        values = np.stack([np.asarray(getattr(result, field), np.float32) for result in results])
        return np.pad(values, ((0, rows - len(results)), *((0, 0),) * (values.ndim - 1)))[None]

    return MaskPrediction(**{field: stack(field) for field in ("logits", "iou", "object_score", "pointer")})


def gather_memory(
    config: SAM2Config,
    objects: Sequence[TrackedObject],
    length: int,
    frame: int,
    direction: int,
    maps_of: Callable[[int, Result], jax.Array],
) -> MemoryBank:
    """The bank that a frame sees: every prompted frame, and the tracked ones that are near behind it.

    Args:
        length: frames of the video.
        direction: 1 where tracking goes forward in time, -1 where it goes back.
        maps_of: gives the spatial memory of a result on a frame, made anew where it was let go.
    """
    rows = bucket(len(objects))
    slots = bucket(max(len(item.prompted) for item in objects))
    nothing = jnp.zeros((config.embedding_size,) * 2 + (config.memory_dim,), jnp.bfloat16)
    prompted_maps = [[nothing] * slots for _ in range(rows)]
    recent_maps = [[nothing] * recent_slots(config) for _ in range(rows)]
    shapes = jax.eval_shape(lambda: empty_memory(config, 1, rows, slots))
    pointers, tags = (lambda x: np.zeros(x.shape, x.dtype)), (lambda x: np.full(x.shape, EMPTY, x.dtype))
    bank = MemoryBank(
        prompted_maps=None,
        prompted_pointers=pointers(shapes.prompted_pointers),
        prompted_frames=tags(shapes.prompted_frames),
        recent_maps=None,
        recent_frames=tags(shapes.recent_frames),
        recent_pointers=pointers(shapes.recent_pointers),
        recent_pointer_frames=tags(shapes.recent_pointer_frames),
        max_pointer_distance=np.full((1, rows), max_pointer_distance(config, length), np.int32),
    )
    map_slots, pointer_slots = slots_read(config, frame, direction)
    for row, item in enumerate(objects):
        for slot, (index, result) in enumerate(item.prompted.items()):
            prompted_maps[row][slot] = maps_of(index, result)
            bank.prompted_pointers[0, row, slot] = result.pointer
            bank.prompted_frames[0, row, slot] = index
        for index, slot in pointer_slots:
            if index in item.tracked:
                bank.recent_pointers[0, row, slot] = item.tracked[index].pointer
                bank.recent_pointer_frames[0, row, slot] = index
        for index, slot in map_slots:
            if index in item.tracked:
                recent_maps[row][slot] = maps_of(index, item.tracked[index])
                bank.recent_frames[0, row, slot] = index
    return jax.device_put(bank.replace(prompted_maps=_stack(prompted_maps), recent_maps=_stack(recent_maps)))


@jax.jit
def _stack(maps: list[list[jax.Array]]) -> jax.Array:
    """Spatial memories by object and slot -> (1, O, slots, h, w, memory channels)."""
    return jnp.stack([jnp.stack(slots) for slots in maps])[None]
