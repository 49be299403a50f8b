# SPDX-License-Identifier: Apache-2.0
"""The model at work on a session: what a prompt gives at once, and what it gives on the frames around it.

In: a `VideoSession` and prompts at the model's size. Out: `Result`s, put where they belong in the session.
"""

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np

from sam2_jax.media import remove_small_regions, resize_frame
from sam2_jax.media.videos import ahead
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.predictors.session import Result, TrackedObject, VideoSession, gather_memory, join, reach, split
from sam2_jax.segmentation import encode_frames
from sam2_jax.tracking import predict_first, predict_with_memory, remember, take_masks, track_frame
from sam2_jax.types import FrameFeatures, Prompts

_FEATURES_KEPT = 4  # encoded frames that stay at hand, for clicks that follow each other
_FRAMES_AHEAD = 2


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
        horizon = self._horizon(session)
        prediction = predict_with_memory(self.model, self.params, memory, features, frame, step, horizon, prompts)
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
                result.maps = self._make_maps(session, frame, result, prompted=True)
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
        items, step = list(session.objects.values()), order.step
        memory = self._memory(session, items, order[0], step)
        pictures = ahead(session.video.frames(order), _FRAMES_AHEAD)
        for picture, frame in zip(pictures, order):  # pictures first: their end is where damage is told
            if not all(frame in item.prompted for item in items):
                features = self._features(session, frame, picture)
                memory, prediction = track_frame(
                    self.model, self.params, memory, features, frame, step, self._horizon(session)
                )
                maps = jax.device_get(memory.recent_maps[:, :, self._latest_slot(frame)])
                for item, result in zip(items, split(prediction, len(items), maps)):
                    if frame not in item.prompted:
                        item.tracked[frame] = result
            for item in items:
                item.steps[frame] = step
                # A memory too far behind to be read is let go; it can be made anew from its mask.
                behind = item.tracked.get(frame - step * reach(self.model.config))
                if behind is not None:
                    behind.maps = None
            yield frame

    def shown(self, logits: np.ndarray) -> np.ndarray:
        """Logits as a user sees them: without small holes."""
        return remove_small_regions(logits, 0, self.fill_hole_area, margin=0.1)

    def _features(self, session: VideoSession, frame: int, picture: np.ndarray | None = None) -> FrameFeatures:
        if frame not in session.features:
            picture = session.video.frame(frame) if picture is None else picture
            resized = resize_frame(picture, self.model.config.image_size)
            session.features[frame] = encode_frames(self.model, self.params, resized[None])
            if len(session.features) > _FEATURES_KEPT:
                session.features.popitem(last=False)
        session.features.move_to_end(frame)
        return session.features[frame]

    def _memory(self, session: VideoSession, items: list[TrackedObject], frame: int, step: int) -> MemoryBank:
        def maps_of(item: TrackedObject, index: int, result: Result) -> np.ndarray:
            if result.maps is None:
                result.maps = self._make_maps(session, index, result, prompted=index in item.prompted)
            return result.maps

        return gather_memory(self.model.config, items, frame, step, maps_of)

    def _make_maps(self, session: VideoSession, frame: int, result: Result, prompted: bool) -> np.ndarray:
        logits = self.shown(result.logits) if prompted else result.logits
        prediction = join([dataclasses.replace(result, logits=logits)])
        features = self._features(session, frame)
        maps = remember(self.model, self.params, features, prediction, np.array([[prompted]]))
        return np.asarray(maps.astype("bfloat16"))[0, 0]

    def _latest_slot(self, frame: int) -> int:
        recent = self.model.config.recent_frames
        return frame % recent if self.model.config.memory_stride == 1 else recent

    def _horizon(self, session: VideoSession) -> int:
        return max(min(session.video.length, self.model.config.object_pointers) - 1, 1)
