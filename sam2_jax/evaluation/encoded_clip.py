# SPDX-License-Identifier: Apache-2.0
"""A clip as the model sees it: its frames encoded once, in chunks of one length, and its true masks beside them.

In: a `Clip`. Out: features of frames, and `Chunk`s for `steps.carry`.
"""

import collections
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax.evaluation.clicking import pad_packed
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.steps import Chunk
from sam2_jax.media.resizing import resize_frame
from sam2_jax.model import SAM2
from sam2_jax.segmentation import encode_frames
from sam2_jax.types import FrameFeatures

FRAMES_AT_ONCE = 8


class EncodedClip:
    """A clip and its features.

    Args:
        model, params: as `sam2_jax.load` returns them.
        chunks_kept: features of so many chunks stay on the device; those of others are made anew when they are needed.
    """

    def __init__(self, model: SAM2, params: dict, clip: Clip, chunks_kept: int):
        self.clip = clip
        self._model, self._params, self._kept = model, params, chunks_kept
        self._features: collections.OrderedDict[int, FrameFeatures] = collections.OrderedDict()

    def __len__(self) -> int:
        """How many chunks there are."""
        return -(-self.clip.length // FRAMES_AT_ONCE)

    def chunk(self, number: int, objects: slice, rows: int) -> Chunk:
        """The frames of a chunk, with the true masks of some objects in the first of so many rows."""
        frames = np.arange(number * FRAMES_AT_ONCE, (number + 1) * FRAMES_AT_ONCE, dtype=np.int32)
        annotated = np.array([frame in self.clip.places for frame in frames.tolist()])
        packed = np.zeros((len(frames), rows, *self.clip.packed.shape[2:]), np.uint8)
        for index in np.flatnonzero(annotated):
            masks = self.clip.packed[self.clip.places[int(frames[index])], objects]
            packed[index, : len(masks)] = masks
        return Chunk(
            features=self._encoded(number),
            frames=frames,
            real=frames < self.clip.length,
            annotated=annotated,
            truth=pad_packed(packed, self.clip.size),
        )

    def features(self, frames: Sequence[int], rows: int) -> FrameFeatures:
        """Features (rows, ...) of frames; the first one's fill the rows that are left."""
        frames = [*map(int, frames), *[int(frames[0])] * (rows - len(frames))]
        found = [_pick(self._encoded(frame // FRAMES_AT_ONCE), frame % FRAMES_AT_ONCE) for frame in frames]
        return jax.tree.map(lambda *values: jnp.stack(values), *found)

    def truth(self, frames: Sequence[int], objects: slice, rows: int) -> np.ndarray:
        """(rows, H, W) bool the true mask of each of some objects on a frame of its own; nothing in the rows left."""
        masks = np.zeros((rows, *self.clip.size), bool)
        for row, frame in enumerate(frames):
            masks[row] = self.clip.truth(int(frame))[objects.start + row]
        return masks

    def _encoded(self, number: int) -> FrameFeatures:
        if number not in self._features:
            wanted = range(number * FRAMES_AT_ONCE, min((number + 1) * FRAMES_AT_ONCE, self.clip.length))
            frames = self.clip.frames(list(wanted))
            resized = np.stack([resize_frame(frame, self._model.config.image_size) for frame in frames])
            resized = np.pad(resized, [(0, FRAMES_AT_ONCE - len(resized)), (0, 0), (0, 0), (0, 0)])
            self._features[number] = encode_frames(self._model, self._params, resized)
            if len(self._features) > self._kept:
                self._features.popitem(last=False)
        self._features.move_to_end(number)
        return self._features[number]


@jax.jit
def _pick(features: FrameFeatures, index: int) -> FrameFeatures:
    return jax.tree.map(lambda x: x[index], features)
