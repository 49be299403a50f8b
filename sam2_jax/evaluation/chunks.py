# SPDX-License-Identifier: Apache-2.0
"""A clip in chunks of one length, for `steps.carry`: features of its frames, and its true masks beside them.

In: a `Clip`. Out: `Chunk`s; and the true masks of objects on frames of their own.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from sam2_jax.evaluation.clicking import pad_packed
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.steps import Chunk
from sam2_jax.types import FrameFeatures

FRAMES_AT_ONCE = 8


class ClipFrames:
    """The frames of a clip, read several at a time."""

    def __init__(self, clip: Clip):
        self.length, self._clip = clip.length, clip

    def frames(self, order: range) -> Iterator[np.ndarray]:
        for start in range(0, len(order), FRAMES_AT_ONCE):
            yield from self._clip.frames(list(order[start : start + FRAMES_AT_ONCE]))


def make_chunk(clip: Clip, features: FrameFeatures, number: int, objects: slice, rows: int) -> Chunk:
    """A chunk of a clip, with the true masks of some objects in the first of so many rows."""
    frames = np.arange(number * FRAMES_AT_ONCE, (number + 1) * FRAMES_AT_ONCE, dtype=np.int32)
    annotated = np.array([frame in clip.places for frame in frames.tolist()])
    packed = np.zeros((len(frames), rows, *clip.packed.shape[2:]), np.uint8)
    for index in np.flatnonzero(annotated):
        masks = clip.packed[clip.places[int(frames[index])], objects]
        packed[index, : len(masks)] = masks
    return Chunk(
        features=features,
        frames=frames,
        real=frames < clip.length,
        annotated=annotated,
        truth=pad_packed(packed, clip.size),
    )


def true_masks(clip: Clip, objects: Sequence[int], frames: Sequence[int], rows: int) -> np.ndarray:
    """(rows, H, W) bool the true mask of each object on a frame of its own; nothing in the rows left."""
    masks = np.zeros((rows, *clip.size), bool)
    for row, (index, frame) in enumerate(zip(objects, frames, strict=True)):
        masks[row] = clip.truth(int(frame))[index]
    return masks
