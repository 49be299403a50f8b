# SPDX-License-Identifier: Apache-2.0
"""The model at work on a session: what a prompt gives at once, and what it gives on the frames around it.

In: a `VideoSession` and prompts at the model's size. Out: `Result`s, put where they belong in the session.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np

from sam2_jax import memory_bank, transfer
from sam2_jax.config import SAM2Config
from sam2_jax.media import remove_small_regions, resize_frame
from sam2_jax.media.videos import ahead
from sam2_jax.memory_bank import MemoryBank, reach
from sam2_jax.model import SAM2
from sam2_jax.predictors.session import Result, TrackedObject, VideoSession, gather_memory, join, split
from sam2_jax.segmentation import encode_frames
from sam2_jax.tracking import predict_first, predict_with_memory, remember, take_masks, track_frame
from sam2_jax.types import FrameFeatures, MaskPrediction, Prompts

_FEATURES_KEPT = 4  # encoded frames that stay at hand, for clicks that follow each other
_FRAMES_AHEAD = 4
_RESIZED_AT_ONCE = 2
Item = TypeVar("Item")


class SessionTracker:
    """Carries the objects of sessions from frame to frame.

    Args:
        model, params: as `sam2_jax.load` returns them.
        fill_hole_area: holes of at most so many pixels of a low-resolution mask are filled where a user sees it.
        clear_near_prompts: forget what was tracked near a frame when the user prompts it.
    """

    def __init__(self, model: SAM2, params: dict, fill_hole_area: int, clear_near_prompts: bool):
        self.model = model
        self.params = params
        self.fill_hole_area = fill_hole_area
        self.clear_near_prompts = clear_near_prompts

    def correct(self, session: VideoSession, item: TrackedObject, frame: int, prompts: Prompts) -> Result:
        """The mask of one object by its clicks on a frame; from memory too, where the frame was tracked before."""
        features = self._features(session, frame)
        if frame not in item.steps:
            return split(predict_first(self.model, self.params, features, prompts), 1)[0]
        step = item.steps[frame]
        memory = self._memory(session, [item], frame, step)
        prediction = predict_with_memory(self.model, self.params, memory, features, frame, step, prompts)
        return split(prediction, 1)[0]

    def take(self, session: VideoSession, frame: int, mask: np.ndarray) -> Result:
        """A user's mask (S, S), 0 to 1, of one object."""
        features = self._features(session, frame)
        return split(take_masks(self.model, self.params, features, mask[None, None]), 1)[0]

    def settle(self, session: VideoSession) -> None:
        """Makes memories of the prompts since the last propagation."""
        if not session.objects:
            raise RuntimeError("There is no object to track; add points, a box or a mask first.")
        for obj_id, item in session.objects.items():
            will_be_prompted = {frame for frame, (_, counts) in item.pending.items() if counts}
            if not item.prompted and not will_be_prompted:
                raise RuntimeError(f"Object {obj_id} has no prompt; add points, a box or a mask first.")
        for item in session.objects.values():
            for frame, (result, counts) in sorted(item.pending.items(), key=lambda entry: entry[1][1]):
                result.hard = True
                result.maps = self._make_maps(session, frame, result)
                (item.prompted if counts else item.tracked)[frame] = result
                if self.clear_near_prompts:
                    span = reach(self.model.config) + self.model.config.memory_stride
                    for near in range(frame - span, frame + span + 1):
                        item.tracked.pop(near, None)
            item.pending.clear()
            for frame in item.prompted:
                item.tracked.pop(frame, None)

    def track(self, session: VideoSession, order: range) -> Iterator[int]:
        """Carries all objects over frames in order, forward or back; yields each frame when its results are there."""
        if not order:
            return
        items, direction = list(session.objects.values()), order.step
        for frame, dispatched in one_behind(self._dispatch(session, items, order)):
            if dispatched is not None:
                for item, result in zip(items, split(dispatched[0], len(items), dispatched[1])):
                    if frame not in item.prompted:
                        item.tracked[frame] = result
            for item in items:
                item.steps[frame] = direction
                # A memory too far behind to be read is let go; it can be made anew from its mask.
                behind = item.tracked.get(frame - direction * reach(self.model.config))
                if behind is not None:
                    behind.maps = None
            yield frame

    def _dispatch(
        self, session: VideoSession, items: list[TrackedObject], order: range
    ) -> Iterator[tuple[int, tuple[MaskPrediction, list[jax.Array]] | None]]:
        """Each frame with what the device will say of it; nothing where every object was prompted."""
        memory = self._memory(session, items, order[0], order.step)
        with contextlib.closing(self._resized(session, order)) as frames:
            for resized, frame in zip(frames, order):  # frames first: their end raises decoding errors
                if all(frame in item.prompted for item in items):
                    yield frame, None
                    continue
                features = self._features(session, frame, resized)
                memory, prediction = track_frame(self.model, self.params, memory, features, frame, order.step)
                yield frame, (transfer.start(prediction), _rows(self.model.config, memory, frame))

    def _resized(self, session: VideoSession, order: range) -> Iterator[np.ndarray]:
        """Frames at the model's size, decoded and resized ahead in threads."""
        with ThreadPoolExecutor(_RESIZED_AT_ONCE) as pool:
            size = self.model.config.image_size
            futures = (pool.submit(resize_frame, frame, size) for frame in session.video.frames(order))
            with contextlib.closing(ahead(futures, _FRAMES_AHEAD)) as waiting:
                for future in waiting:
                    yield future.result()

    def shown(self, logits: np.ndarray) -> np.ndarray:
        """Logits as a user sees them: without small holes."""
        return remove_small_regions(logits, 0, self.fill_hole_area, margin=0.1)

    def _features(self, session: VideoSession, frame: int, resized: np.ndarray | None = None) -> FrameFeatures:
        if frame not in session.features:
            if resized is None:
                resized = resize_frame(session.video.frame(frame), self.model.config.image_size)
            session.features[frame] = encode_frames(self.model, self.params, resized[None])
            if len(session.features) > _FEATURES_KEPT:
                session.features.popitem(last=False)
        session.features.move_to_end(frame)
        return session.features[frame]

    def _memory(self, session: VideoSession, items: list[TrackedObject], frame: int, step: int) -> MemoryBank:
        def maps_of(index: int, result: Result) -> jax.Array:
            if result.maps is None:
                result.maps = self._make_maps(session, index, result)
            return result.maps

        return gather_memory(self.model.config, items, session.video.length, frame, step, maps_of)

    def _make_maps(self, session: VideoSession, frame: int, result: Result) -> jax.Array:
        logits = self.shown(result.logits) if result.hard else result.logits
        prediction = join([dataclasses.replace(result, logits=logits)])
        features = self._features(session, frame)
        maps = remember(self.model, self.params, features, prediction, np.array([[result.hard]]))
        return maps.astype("bfloat16")[0, 0]


def one_behind(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each once the next one was asked for; an error comes behind the items before it."""
    waiting, failed = [], None
    with contextlib.closing(items):
        while failed is None:
            try:
                following = next(items)
            except StopIteration:
                break
            except Exception as error:
                failed = error
                break
            yield from waiting
            waiting = [following]
        yield from waiting
    if failed is not None:
        raise failed


@functools.partial(jax.jit, static_argnums=0)
def _rows(config: SAM2Config, memory: MemoryBank, frame: jax.Array) -> list[jax.Array]:
    """The latest spatial memory of each object of one video."""
    return list(memory_bank.latest_maps(config, memory, frame)[0])
