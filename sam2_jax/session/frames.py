# SPDX-License-Identifier: Apache-2.0
"""A video's frames as the model sees them: decoded and resized ahead in threads, encoded once while there is room.

In: a video. Out: `FrameFeatures` of chunks of frames; a session that tracks frame by frame has chunks of one.
"""

import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax.media.resizing import resize_frame
from sam2_jax.media.videos import ahead
from sam2_jax.model import SAM2
from sam2_jax.segmentation import encode_frames
from sam2_jax.session.storage import Kept, Storage
from sam2_jax.types import FrameFeatures

_CHUNKS_AHEAD = 4
_THREADS = 2


class FrameSource(Protocol):
    """What frames are read from, a `sam2_jax.media.videos.Video` for one."""

    length: int

    def frames(self, order: range) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB in order, forward or back."""


class EncodedFrames:
    """Chunks of C frames.

    Args:
        model, params: as `sam2_jax.load` returns them.
        source: of the frames.
        frames_at_once: C; the last chunk is filled with black frames.
        chunks_kept: of the chunks encoded last, the features stay in the storage; all of them without it.
    """

    def __init__(
        self,
        model: SAM2,
        params: dict,
        source: FrameSource,
        storage: Storage,
        frames_at_once: int = 1,
        chunks_kept: int | None = None,
    ):
        self.source, self.frames_at_once = source, frames_at_once
        self._model, self._params, self._storage, self._chunks_kept = model, params, storage, chunks_kept
        self._kept: OrderedDict[int, Kept] = OrderedDict()

    def __len__(self) -> int:
        """How many chunks there are."""
        return -(-self.source.length // self.frames_at_once)

    def features(self, number: int, resized: np.ndarray | None = None) -> FrameFeatures:
        """Features (C, ...) of a chunk; `resized` are its frames where they have been read already."""
        features = self._kept[number].get() if number in self._kept else None
        if features is None:
            features = encode_frames(self._model, self._params, self.resized(number) if resized is None else resized)
            self._kept[number] = self._storage.device.keep(features, droppable=True)
            if self._chunks_kept is not None and len(self._kept) > self._chunks_kept:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return features

    def features_of(self, frames: Sequence[int], rows: int) -> FrameFeatures:
        """Features (rows, ...) of single frames; the first one's fill the rows that are left."""
        frames = [*map(int, frames), *[int(frames[0])] * (rows - len(frames))]
        chunks = (divmod(frame, self.frames_at_once) for frame in frames)
        return _stack([_pick(self.features(number), index) for number, index in chunks])

    def resized(self, number: int) -> np.ndarray:
        """Frames (C, S, S, 3) uint8 of a chunk."""
        order = self._frames_of(number, number)
        return self._resize(list(itertools.islice(self.source.frames(order), len(order))))

    def ahead(self, numbers: range) -> Iterator[np.ndarray | None]:
        """`resized` of chunks in order, read ahead; None where features are kept. An error comes at its chunk."""
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = (None if frames is None else pool.submit(self._resize, frames) for frames in self._read(numbers))
            with contextlib.closing(ahead(futures, _CHUNKS_AHEAD)) as waiting:
                for future in waiting:
                    yield None if future is None else future.result()

    def leave_device(self) -> None:
        """Drops all features; they are computed again when they are needed."""
        self._kept.clear()

    def _read(self, numbers: range) -> Iterator[list[np.ndarray] | None]:
        # The last chunk is always read: that a file breaks off is raised after its last frame.
        for kept, run in itertools.groupby(numbers, lambda number: number in self._kept and number != len(self) - 1):
            run = list(run)
            if kept:
                yield from itertools.repeat(None, len(run))
                continue
            # Runs, not single frames: files are decoded forward, so going back needs blocks.
            frames = self.source.frames(self._frames_of(run[0], run[-1]))
            for number in run:
                yield list(itertools.islice(frames, len(self._frames_of(number, number))))
            next(frames, None)

    def _frames_of(self, first: int, last: int) -> range:
        """The frames of chunks, from one to another; chunks of one frame may go back."""
        if last < first:
            return range(first, last - 1, -1)
        return range(first * self.frames_at_once, min((last + 1) * self.frames_at_once, self.source.length))

    def _resize(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        size = self._model.config.image_size
        resized = np.zeros((self.frames_at_once, size, size, 3), np.uint8)
        for index, frame in enumerate(frames):
            resized[index] = resize_frame(frame, size)
        return resized


@jax.jit
def _pick(features: FrameFeatures, index: int) -> FrameFeatures:
    return jax.tree.map(lambda x: x[index], features)


@jax.jit
def _stack(features: list[FrameFeatures]) -> FrameFeatures:
    return jax.tree.map(lambda *x: jnp.stack(x), *features)
