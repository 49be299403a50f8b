# SPDX-License-Identifier: Apache-2.0
"""Passes over videos: a frame's work is on its way to the device before the frame before it is waited for.

In: the frames, objects and memory of a session. Out: what the device will answer for each frame. Sessions of the same
shape whose passes run at one time can take their frames in one program.
"""

import collections
import contextlib
import threading
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import memory_bank, transfer
from sam2_jax.buckets import bucket
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.session.frames import EncodedFrames
from sam2_jax.session.objects import TrackedObject
from sam2_jax.target import compiled
from sam2_jax.tracking import carry_objects
from sam2_jax.types import FrameFeatures, MaskPrediction

Dispatched = tuple[MaskPrediction, jax.Array]
_FRAMES_UNDER_WAY = 2


class Pass:
    """Objects of one session on their way over frames.

    Args:
        order: the frames, forward or back.
        memory: of the objects, before the first frame.
        forget_distance: where the pass comes to a frame that an object was prompted on, what was tracked of it up to so
            many frames from there is forgotten; nothing without it.
    """

    def __init__(
        self,
        encoded: EncodedFrames,
        items: Sequence[TrackedObject],
        order: range,
        memory: MemoryBank,
        forget_distance: int | None = None,
    ):
        self.memory, self.direction = memory, order.step
        self.under_way: collections.deque[tuple[int, Dispatched | None]] = collections.deque()
        self.ended, self.error = False, None
        self._encoded, self._items, self._forget_distance = encoded, items, forget_distance
        self._resized = encoded.ahead(order)
        self._frames = zip(self._resized, order)  # the images first: their end raises decoding errors

    @property
    def wants_more(self) -> bool:
        return len(self.under_way) < _FRAMES_UNDER_WAY and not self.ended

    def advance(self) -> tuple[int, FrameFeatures] | None:
        """The next frame with its features; None where there is nothing to compute, as every object was prompted."""
        try:
            resized, frame = next(self._frames)
            prompted = [frame in item.prompted for item in self._items]
            if self._forget_distance is not None and any(prompted):
                objects = np.zeros(self.memory.recent_frames.shape[:2], bool)
                objects[0, : len(prompted)] = prompted
                self.memory = _forget_near(self.memory, objects, frame, distance=self._forget_distance)
            if all(prompted):
                self.under_way.append((frame, None))
                return None
            return frame, self._encoded.features(frame, resized)
        except StopIteration:
            self.ended = True
        except Exception as error:  # raised after the frames before it
            self.ended, self.error = True, error
        return None

    def close(self) -> None:
        """Ends the threads that read ahead."""
        self._resized.close()


class Passes:
    """The passes that run at one time.

    Args:
        at_once: how many of them may share a program.
    """

    def __init__(self, model: SAM2, params: dict, at_once: int):
        self.at_once, self._model, self._params = at_once, model, params
        self._running: list[Pass] = []
        self._lock = threading.Lock() if at_once > 1 else contextlib.nullcontext()

    def run(self, one: Pass) -> Iterator[tuple[int, Dispatched | None]]:
        """Each frame of a pass with what the device will answer; None where every object was prompted."""
        self._running.append(one)
        try:
            while True:
                with self._lock:
                    while one.wants_more:
                        self._dispatch(one)
                if not one.under_way:
                    break
                yield one.under_way.popleft()
            if one.error is not None:
                raise one.error
        finally:
            with self._lock:
                self._running.remove(one)
                one.close()

    def _dispatch(self, one: Pass) -> None:
        """Puts one frame more of a pass under way, and of others that can share its program."""
        together = [one]
        if self.at_once > 1:
            others = (other for other in list(self._running) if other is not one and other.wants_more)
            together += [other for other in others if _shapes(other.memory) == _shapes(one.memory)]
        stepped = [(each, *advanced) for each in together[: self.at_once] if (advanced := each.advance()) is not None]
        if not stepped:
            return
        # The first one fills the bucket.
        filled = [*stepped, *stepped[:1] * (bucket(len(stepped)) - len(stepped))]
        passes, frames, features = zip(*filled)
        results = carry_together(
            self._model,
            self._params,
            [each.memory for each in passes],
            list(features),
            np.array(frames, np.int32)[:, None],
            np.array([each.direction for each in passes], np.int32)[:, None],
        )
        for (each, frame, _), (memory, prediction, maps) in zip(stepped, results):
            each.memory = memory
            each.under_way.append((frame, (transfer.start(prediction), maps)))


_forget_near = jax.jit(memory_bank.forget_near, static_argnames="distance")


def _shapes(memory: MemoryBank) -> tuple[tuple[int, ...], ...]:
    return tuple(x.shape for x in jax.tree.leaves(memory))


@compiled
def carry_together(
    model: SAM2,
    params: dict,
    memories: list[MemoryBank],
    features: list[FrameFeatures],
    frames: jax.Array,
    directions: jax.Array,
) -> list[tuple[MemoryBank, MaskPrediction, jax.Array]]:
    """Carries O objects of each of B videos to a frame of its own.

    Args:
        memories, features: of each video, (1, O, ...) and (1, ...).
        frames, directions: (B, 1) int32.

    Returns:
        For each video its bank, its prediction (1, O, ...), and its spatial memories (1, O, h, w, memory channels).
    """
    memory, features = (jax.tree.map(lambda *x: jnp.concatenate(x), *each) for each in (memories, features))
    results = carry_objects(model, params, memory, features, frames, directions)
    return [jax.tree.map(lambda x, video=video: x[video : video + 1], results) for video in range(len(memories))]
