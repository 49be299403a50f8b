# SPDX-License-Identifier: Apache-2.0
"""What a video session holds: its frames, each object's prompts and results, and the memory made from them.

In: results as they come. Out: the `MemoryBank` that any frame sees, whichever way the video is tracked. On the device
there is one bank, whose size does not depend on the video; on the host there are the low-resolution masks of the
frames that were visited, and the spatial memories of the few that may be read next.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence

import jax
import numpy as np

from sam2_jax.config import SAM2Config
from sam2_jax.media.videos import Video
from sam2_jax.memory_bank import EMPTY, MemoryBank, recent_slots
from sam2_jax.predictors.prompts import bucket
from sam2_jax.types import FrameFeatures, MaskPrediction


@dataclasses.dataclass
class Result:
    """What is known of one object on one frame.

    Attributes:
        logits: (S/4, S/4) float32, iou and object_score: numbers, pointer: (C,) as of `MaskPrediction`.
        maps: (h, w, memory channels) spatial memory; None until it is made, or once it was let go.
    """

    logits: np.ndarray
    iou: float
    object_score: float
    pointer: np.ndarray
    maps: np.ndarray | None = None


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


def split(prediction: MaskPrediction, count: int, maps: jax.Array | None = None) -> list[Result]:
    """The results of the first `count` objects of one frame of one video."""
    on_host = jax.device_get(prediction)
    memories = None if maps is None else np.asarray(maps)
    return [
        Result(
            logits=on_host.logits[0, row],
            iou=float(on_host.iou[0, row]),
            object_score=float(on_host.object_score[0, row]),
            pointer=on_host.pointer[0, row],
            maps=None if memories is None else memories[0, row],
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
    frame: int,
    step: int,
    maps_of: Callable[[TrackedObject, int, Result], np.ndarray],
) -> MemoryBank:
    """The bank that a frame sees: every prompted frame, and the tracked ones that are near behind it.

    Args:
        step: 1 where tracking goes forward in time, -1 where it goes back.
        maps_of: gives the spatial memory of a result, made anew where it was let go.
    """
    rows = bucket(len(objects))
    slots = bucket(max(len(item.prompted) for item in objects))
    side, recent, pointers = config.embedding_size, recent_slots(config), config.object_pointers - 1
    map_shape = (side, side, config.memory_dim)
    bank = MemoryBank(
        prompted_maps=np.zeros((1, rows, slots, *map_shape), jax.numpy.bfloat16),
        prompted_pointers=np.zeros((1, rows, slots, config.hidden_dim), np.float32),
        prompted_frames=np.full((1, rows, slots), EMPTY, np.int32),
        recent_maps=np.zeros((1, rows, recent, *map_shape), jax.numpy.bfloat16),
        recent_frames=np.full((1, rows, recent), EMPTY, np.int32),
        recent_pointers=np.zeros((1, rows, pointers, config.hidden_dim), np.float32),
        recent_pointer_frames=np.full((1, rows, pointers), EMPTY, np.int32),
    )
    for row, item in enumerate(objects):
        for slot, (index, result) in enumerate(item.prompted.items()):
            bank.prompted_maps[0, row, slot] = maps_of(item, index, result)
            bank.prompted_pointers[0, row, slot] = result.pointer
            bank.prompted_frames[0, row, slot] = index
        for age in range(1, pointers + 1):
            index = frame - step * age
            if index in item.tracked:
                bank.recent_pointers[0, row, index % pointers] = item.tracked[index].pointer
                bank.recent_pointer_frames[0, row, index % pointers] = index
        for index, slot in _recent_frames(config, frame, step):
            if index in item.tracked:
                bank.recent_maps[0, row, slot] = maps_of(item, index, item.tracked[index])
                bank.recent_frames[0, row, slot] = index
    return jax.device_put(bank)


def reach(config: SAM2Config) -> int:
    """How many frames back a memory may be and still be read."""
    return config.recent_frames * config.memory_stride


def _recent_frames(config: SAM2Config, frame: int, step: int) -> list[tuple[int, int]]:
    """The frames before one whose memories will be read, and the slots where `memory_bank.write_recent` puts them."""
    stride, ring = config.memory_stride, config.recent_frames
    frames = [frame - step * age for age in range(1, reach(config) + 1)]
    kept = [(index, index // stride % ring) for index in frames if index % stride == 0]
    return kept if stride == 1 else [*kept, (frame - step, ring)]
