# SPDX-License-Identifier: Apache-2.0
"""`SAM2VideoPredictor`: objects through a video, with the published names, arguments, defaults and array layouts.

In: a video and prompts on any of its frames, in its pixels. Out: masks of all objects on each frame, NumPy logits at
the video's size.
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator

import jax
import numpy as np

from sam2_jax.media import remove_small_regions, resize_frame, resize_logits, resize_mask
from sam2_jax.media.videos import Video, open_video
from sam2_jax.model import SAM2
from sam2_jax.predictors.prompts import check_clicks, lay_out_correction
from sam2_jax.predictors.session import Result, TrackedObject, gather_memory, join, split
from sam2_jax.segmentation import encode_frames
from sam2_jax.tracking import predict_first, predict_with_memory, remember, take_masks, track_frame
from sam2_jax.types import ABSENT, FrameFeatures

_FEATURES_KEPT = 4  # encoded frames that stay at hand, for clicks that follow each other


@dataclasses.dataclass
class VideoSession:
    """The state of one video: its frames, and its objects in the order they came."""

    video: Video
    objects: dict[int, TrackedObject] = dataclasses.field(default_factory=dict)
    features: OrderedDict[int, FrameFeatures] = dataclasses.field(default_factory=OrderedDict)

    @property
    def obj_ids(self) -> list[int]:
        return list(self.objects)


class SAM2VideoPredictor:
    """Clicks, boxes and masks on any frame of a video, carried through all of it.

    Args:
        model, params: as `sam2_jax.load` returns them.
        fill_hole_area: holes of at most so many pixels of the low-resolution mask are filled; 0 for none.
        non_overlap_masks: give each pixel to the one object that is surest of it.
        clear_non_cond_mem_around_input: forget what was tracked near a frame when the user prompts it.
        compat: None for corrections that count. ``official`` for the published behaviour, where a prompt on a frame
            that was tracked before is forgotten by the next propagation.

    Raises:
        ValueError: the weights hold no memory.
    """

    def __init__(
        self,
        model: SAM2,
        params: dict,
        fill_hole_area: int = 8,
        non_overlap_masks: bool = False,
        clear_non_cond_mem_around_input: bool = False,
        compat: str | None = None,
    ):
        if not model.config.has_memory:
            raise ValueError(f"The weights of {model.config.name} serve pictures only; a video needs a memory.")
        if compat not in (None, "official"):
            raise ValueError(f"compat is {compat!r}; expected None or 'official'.")
        self.model = model
        self.params = params
        self.fill_hole_area = fill_hole_area
        self.non_overlap_masks = non_overlap_masks
        self.clear_non_cond_mem_around_input = clear_non_cond_mem_around_input
        self.corrections_count = compat is None

    def init_state(
        self,
        video_path,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> VideoSession:
        """Opens a video: a folder of pictures, a file, or an array (T, H, W, 3).

        The other arguments are the published ones and change nothing: frames are read when they are needed, and only
        the memory that a frame sees is on the device.
        """
        video = open_video(video_path)
        if video.length is None:
            raise ValueError("The video's length is unknown; expected a folder, a file or an array.")
        return VideoSession(video)

    def add_new_points_or_box(
        self,
        inference_state: VideoSession,
        frame_idx: int,
        obj_id: int,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: np.ndarray | None = None,
    ) -> tuple[int, list[int], np.ndarray]:
        """Prompts an object on a frame; it may be a new object, and the frame may have been tracked.

        Args:
            points: (N, 2) as (x, y), pixels of the video; with labels (N,), 1 for the object, 0 for the background.
            clear_old_points: forget earlier points of this object on this frame; else these are added to them.
            box: (4,) as (x0, y0, x1, y1); never added to earlier points.

        Returns:
            The frame, the ids of all objects, and their logits on the frame, (O, 1, H, W) float32.

        Raises:
            ValueError: the prompt or the frame is not as expected; the session stays as it was.
        """
        session = inference_state
        self._check_frame(session, frame_idx)
        config, picture_size = self.model.config, (session.video.height, session.video.width)
        item = session.objects.get(obj_id, TrackedObject())
        earlier = item.points.get(frame_idx)
        given = check_clicks(
            earlier, points, labels, box, clear_old_points, picture_size, config.image_size, normalize_coords
        )
        before = item.result(frame_idx)
        shown = None if before is None else self._shown(before.logits)
        prompts = lay_out_correction(*given, shown, config.mask_size)
        features = self._features(session, frame_idx)
        if frame_idx in item.steps:
            step = item.steps[frame_idx]
            memory = self._memory(session, [item], frame_idx, step)
            horizon = self._horizon(session)
            prediction = predict_with_memory(
                self.model, self.params, memory, features, frame_idx, step, horizon, prompts
            )
        else:
            prediction = predict_first(self.model, self.params, features, prompts)
        item.points[frame_idx] = given
        return self._note(session, frame_idx, obj_id, item, split(prediction, 1)[0])

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self, inference_state: VideoSession, frame_idx: int, obj_id: int, mask: np.ndarray
    ) -> tuple[int, list[int], np.ndarray]:
        """Gives an object's mask on a frame, (H, W) bool of any size; it is taken as it is."""
        session = inference_state
        self._check_frame(session, frame_idx)
        mask = np.asarray(mask)
        if mask.ndim != 2 or 0 in mask.shape:
            raise ValueError(f"mask has the shape {mask.shape}; expected (H, W).")
        item = session.objects.get(obj_id, TrackedObject())
        given = resize_mask(mask, self.model.config.image_size).astype(np.float32)[None, None]
        prediction = take_masks(self.model, self.params, self._features(session, frame_idx), given)
        item.points.pop(frame_idx, None)
        return self._note(session, frame_idx, obj_id, item, split(prediction, 1)[0])

    def propagate_in_video(
        self,
        inference_state: VideoSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        return_scores: bool = False,
    ) -> Iterator[tuple]:
        """Carries all objects through the video, frame by frame.

        Args:
            start_frame_idx: where to begin; the first prompted frame without it.
            max_frame_num_to_track: how many frames after that one; all without it.
            reverse: go back in time.
            return_scores: also give each object's scores.

        Yields:
            The frame, the ids of all objects, and their logits (O, 1, H, W) float32; with `return_scores`, then a dict
            of ``object_score`` (O,), the logit that the object is in the frame, and ``iou`` (O,), predicted.

        Raises:
            RuntimeError: there is no object yet, or one without a prompt.
        """
        session = inference_state
        self._settle(session)
        length = session.video.length
        if start_frame_idx is None:
            start_frame_idx = min(frame for item in session.objects.values() for frame in item.prompted)
        self._check_frame(session, start_frame_idx)
        count = length if max_frame_num_to_track is None else max_frame_num_to_track
        if reverse:
            last = max(start_frame_idx - count, 0)
            order = range(start_frame_idx, last - 1, -1) if start_frame_idx > 0 else range(0)
        else:
            order = range(start_frame_idx, min(start_frame_idx + count, length - 1) + 1)
        return self._track(session, order, -1 if reverse else 1, return_scores)

    def clear_all_prompts_in_frame(
        self, inference_state: VideoSession, frame_idx: int, obj_id: int, need_output: bool = True
    ) -> tuple[int, list[int], np.ndarray] | None:
        """Takes back an object's prompts on a frame; what is known there counts as tracked from now on."""
        item = self._object(inference_state, obj_id)
        item.points.pop(frame_idx, None)
        item.pending.pop(frame_idx, None)
        result = item.prompted.pop(frame_idx, None)
        if result is not None:
            item.tracked[frame_idx] = result
            item.steps.pop(frame_idx, None)
        return self._answer(inference_state, frame_idx) if need_output else None

    def remove_object(
        self, inference_state: VideoSession, obj_id: int, strict: bool = False, need_output: bool = True
    ) -> tuple[list[int], list[tuple[int, np.ndarray]]]:
        """Forgets an object; returns the ids that stay, and their masks on the frames where it had prompts."""
        session = inference_state
        if obj_id not in session.objects:
            if strict:
                self._object(session, obj_id)
            return session.obj_ids, []
        item = session.objects.pop(obj_id)
        if not (need_output and session.objects):
            return session.obj_ids, []
        frames = sorted({*item.points, *item.prompted, *item.pending})
        return session.obj_ids, [(frame, self._answer(session, frame)[2]) for frame in frames]

    def reset_state(self, inference_state: VideoSession) -> None:
        """Forgets all objects; the video stays open."""
        inference_state.objects.clear()

    def _track(self, session: VideoSession, order: range, step: int, return_scores: bool) -> Iterator[tuple]:
        items = list(session.objects.values())
        recent = self.model.config.recent_frames
        memory = self._memory(session, items, order[0], step) if len(order) else None
        for frame in order:
            if not all(frame in item.prompted for item in items):
                features = self._features(session, frame)
                memory, prediction = track_frame(
                    self.model, self.params, memory, features, frame, step, self._horizon(session)
                )
                maps = jax.device_get(memory.recent_maps[:, :, frame % recent])
                for item, result in zip(items, split(prediction, len(items), maps)):
                    if frame not in item.prompted:
                        item.tracked[frame] = result
            for item in items:
                item.steps[frame] = step
                # A memory too far behind to be read is let go; it can be made anew from its mask.
                if frame - step * recent in item.tracked:
                    item.tracked[frame - step * recent].maps = None
            answer = self._answer(session, frame)
            if return_scores:
                results = [item.result(frame) for item in items]
                scores = {
                    name: np.array([getattr(result, name) for result in results], np.float32)
                    for name in ("object_score", "iou")
                }
                answer = (*answer, scores)
            yield answer

    def _settle(self, session: VideoSession) -> None:
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
                if self.clear_non_cond_mem_around_input:
                    reach = self.model.config.recent_frames + 1
                    for near in range(frame - reach, frame + reach + 1):
                        item.tracked.pop(near, None)
            item.pending.clear()
            for frame in item.prompted:
                item.tracked.pop(frame, None)

    def _note(self, session: VideoSession, frame: int, obj_id: int, item: TrackedObject, result: Result):
        """Keeps a result that the user asked for, until the next propagation."""
        counts = self.corrections_count or frame not in item.steps
        item.pending[frame] = (result, counts)
        session.objects[obj_id] = item
        # The published answer leaves out other objects' prompts of the other kind; where corrections count, all do.
        return self._answer(session, frame, counts)

    def _answer(
        self, session: VideoSession, frame: int, counts: bool | None = None
    ) -> tuple[int, list[int], np.ndarray]:
        size = self.model.config.mask_size
        results = [item.result(frame, counts) for item in session.objects.values()]
        logits = [np.full((size, size), ABSENT, np.float32) if r is None else self._shown(r.logits) for r in results]
        masks = resize_logits(np.stack(logits), (session.video.height, session.video.width))
        if self.non_overlap_masks and len(masks) > 1:
            winner = masks.argmax(axis=0)
            masks = np.where(np.arange(len(masks))[:, None, None] == winner, masks, np.minimum(masks, -10))
        return frame, session.obj_ids, masks[:, None]

    def _shown(self, logits: np.ndarray) -> np.ndarray:
        """Logits as a user sees them: without small holes."""
        return remove_small_regions(logits, 0, self.fill_hole_area, margin=0.1)

    def _features(self, session: VideoSession, frame: int) -> FrameFeatures:
        if frame not in session.features:
            picture = resize_frame(session.video.frame(frame), self.model.config.image_size)
            session.features[frame] = encode_frames(self.model, self.params, picture[None])
            if len(session.features) > _FEATURES_KEPT:
                session.features.popitem(last=False)
        session.features.move_to_end(frame)
        return session.features[frame]

    def _memory(self, session: VideoSession, items: list[TrackedObject], frame: int, step: int):
        def maps_of(item: TrackedObject, index: int, result: Result) -> np.ndarray:
            if result.maps is None:
                result.maps = self._make_maps(session, index, result, prompted=index in item.prompted)
            return result.maps

        return gather_memory(self.model.config, items, frame, step, maps_of)

    def _make_maps(self, session: VideoSession, frame: int, result: Result, prompted: bool) -> np.ndarray:
        logits = self._shown(result.logits) if prompted else result.logits
        prediction = join([dataclasses.replace(result, logits=logits)])
        features = self._features(session, frame)
        maps = remember(self.model, self.params, features, prediction, np.array([[prompted]]))
        return np.asarray(maps.astype("bfloat16"))[0, 0]

    def _horizon(self, session: VideoSession) -> int:
        return max(min(session.video.length, self.model.config.object_pointers) - 1, 1)

    def _object(self, session: VideoSession, obj_id: int) -> TrackedObject:
        if obj_id not in session.objects:
            raise RuntimeError(f"There is no object {obj_id}; the session has {session.obj_ids}.")
        return session.objects[obj_id]

    def _check_frame(self, session: VideoSession, frame: int) -> None:
        if not 0 <= frame < session.video.length:
            raise ValueError(f"Frame {frame} does not exist; the video has {session.video.length} frames.")
