# SPDX-License-Identifier: Apache-2.0
"""`SAM2VideoPredictor`: objects through a video, with the published names, arguments, defaults and array layouts.

In: a video and prompts on any of its frames, in its pixels. Out: masks of all objects on each frame, NumPy logits at
the video's size.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from sam2_jax.media.videos import open_video
from sam2_jax.model import SAM2
from sam2_jax.predictors.video_session import VideoSession
from sam2_jax.predictors.warm_up import warm_up
from sam2_jax.session import Runtime, SessionLimits, load_session, save_session


class SAM2VideoPredictor:
    """Clicks, boxes and masks on any frame of a video, carried through all of it.

    Args:
        model, params: as `sam2_jax.load` returns them.
        fill_hole_area: holes of at most so many pixels of the low-resolution mask are filled; 0 for none.
        non_overlap_masks: give each pixel to the one object that is surest of it.
        clear_non_cond_mem_around_input: forget what was tracked near a frame when the user prompts it, and when a pass
            comes to it.
        compat: None for corrections that count. ``official`` for the published behavior, where a prompt on a frame
            that was tracked before is forgotten by the next propagation.
        limits: of what all sessions of this predictor keep.
        sessions_at_once: up to so many sessions that are propagated at one time take their frames in one program, where
            they have as many objects; faster on accelerators that one session does not fill.
        device: the device to run on, or a mesh, over which the objects are divided. Without it, where `params` are.

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
        limits: SessionLimits | None = None,
        sessions_at_once: int = 1,
        device: jax.Device | Mesh | None = None,
    ):
        if not model.config.has_memory:
            raise ValueError(f"The weights of {model.config.name} serve pictures only; a video needs a memory.")
        if compat not in (None, "official"):
            raise ValueError(f"compat is {compat!r}; expected None or 'official'.")
        self.model = model
        self.non_overlap_masks = non_overlap_masks
        self.corrections_count = compat is None
        self.runtime = Runtime(
            model, params, limits, fill_hole_area, clear_non_cond_mem_around_input, sessions_at_once, device
        )

    def init_state(
        self,
        video_path,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> VideoSession:
        """Opens a video: a folder of images, a file, or an array (T, H, W, 3).

        The other arguments are the published ones and change nothing: frames are read when they are needed, and
        `limits` says what is kept where.
        """
        video = open_video(video_path)
        if video.length is None:
            raise ValueError(
                "The video is an iterator, whose frames can be read once only; expected a folder, a file, an array or "
                "a list of frames; SAM2StreamPredictor takes frames as they come."
            )
        return VideoSession(self.runtime, video)

    def add_new_points_or_box(
        self,
        inference_state: VideoSession,
        frame_idx: int,
        obj_id: Hashable,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: np.ndarray | None = None,
        need_output: bool = True,
    ) -> tuple[int, list, np.ndarray | None]:
        """Prompts an object on a frame; it may be a new object, and the frame may have been tracked.

        Args:
            points: (N, 2) as (x, y), pixels of the video; with labels (N,), 1 for the object, 0 for the background.
            clear_old_points: forget earlier points of this object on this frame; else these are added to them.
            normalize_coords: points and box are in pixels of the video; else they are fractions of it, 0 to 1.
            box: (4,) as (x0, y0, x1, y1); never added to earlier points.
            need_output: return masks; without it, None in their place, which costs less.

        Returns:
            The frame, the ids of all objects, and their logits on the frame, (O, 1, H, W) float32.

        Raises:
            ValueError: the prompt or the frame is not as expected; the session stays as it was.
        """
        prompt = dict(points=points, labels=labels, box=box)
        prompt |= dict(clear_old_points=clear_old_points, normalize_coords=normalize_coords)
        return self.add_prompts(inference_state, frame_idx, {obj_id: prompt}, need_output)

    add_new_points = add_new_points_or_box

    def add_new_mask(
        self,
        inference_state: VideoSession,
        frame_idx: int,
        obj_id: Hashable,
        mask: np.ndarray,
        need_output: bool = True,
    ) -> tuple[int, list, np.ndarray | None]:
        """Gives an object's mask on a frame, (H, W) bool of any size; it is taken as it is."""
        return self.add_prompts(inference_state, frame_idx, {obj_id: dict(mask=mask)}, need_output)

    def add_prompts(
        self,
        inference_state: VideoSession,
        frame_idx: int,
        prompts: Mapping[Hashable, Mapping[str, Any]],
        need_output: bool = True,
    ) -> tuple[int, list, np.ndarray | None]:
        """Prompts several objects on a frame in one call of the decoder.

        Args:
            prompts: by object, the arguments of `add_new_points_or_box`, or ``mask``.

        Returns:
            As `add_new_points_or_box`.

        Raises:
            ValueError: a prompt or the frame is not as expected; the session stays as it was.
        """
        session = inference_state
        session.check_frame(frame_idx)
        counts = session.prompt(frame_idx, prompts, self.corrections_count)
        if not need_output:
            return frame_idx, session.obj_ids, None
        # The published answer leaves out other objects' prompts of the other kind; where corrections count, all do.
        return self._answer(session, frame_idx, counts, keep=True)

    def propagate_in_video(
        self,
        inference_state: VideoSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        return_scores: bool = False,
        need_output: bool = True,
    ) -> Iterator[tuple]:
        """Carries all objects through the video, frame by frame.

        Args:
            start_frame_idx: where to begin; the first prompted frame without it.
            max_frame_num_to_track: how many frames after that one; all without it.
            reverse: go back in time.
            return_scores: also give each object's scores.
            need_output: give masks; without it, None in their place, and `masks_on_frame` gives them later.

        Yields:
            The frame, the ids of all objects, and their logits (O, 1, H, W) float32; with `return_scores`, then a dict
            of ``object_score`` (O,), the logit that the object is in the frame, and ``iou`` (O,), predicted.

        Raises:
            RuntimeError: there is no object yet, or one without a prompt.
        """
        session = inference_state
        if start_frame_idx is not None:
            session.check_frame(start_frame_idx)
        session.settle()
        order = session.order(start_frame_idx, max_frame_num_to_track, reverse)
        return self._answers(session, order, return_scores, need_output)

    def masks_on_frame(self, inference_state: VideoSession, frame_idx: int) -> tuple[int, list, np.ndarray]:
        """The frame, the ids of all objects and their latest masks there, without computing any again."""
        inference_state.check_frame(frame_idx)
        return self._answer(inference_state, frame_idx)

    def clear_all_prompts_in_frame(
        self, inference_state: VideoSession, frame_idx: int, obj_id: int, need_output: bool = True
    ) -> tuple[int, list[int], np.ndarray] | None:
        """Takes back an object's prompts on a frame; what is known there counts as tracked from now on."""
        item = inference_state.object(obj_id)
        item.forget_prompts(frame_idx)
        item.pending.pop(frame_idx, None)
        result = item.prompted.pop(frame_idx, None)
        if result is not None:
            item.tracked[frame_idx] = result
            item.directions.pop(frame_idx, None)
        return self._answer(inference_state, frame_idx) if need_output else None

    def remove_object(
        self, inference_state: VideoSession, obj_id: int, strict: bool = False, need_output: bool = True
    ) -> tuple[list[int], list[tuple[int, np.ndarray]]]:
        """Forgets an object; returns the ids that stay, and their masks on the frames where it had prompts."""
        session = inference_state
        if obj_id not in session.objects:
            if strict:
                session.object(obj_id)
            return session.obj_ids, []
        item = session.objects.pop(obj_id)
        if not (need_output and session.objects):
            return session.obj_ids, []
        frames = sorted({*item.points, *item.masked})
        return session.obj_ids, [(frame, self._answer(session, frame)[2]) for frame in frames]

    def save_state(self, inference_state: VideoSession, path) -> None:
        """Writes all that was prompted and tracked to a file, whole or not at all."""
        save_session(inference_state, path)

    def load_state(self, path, video_path) -> VideoSession:
        """Opens a session of `save_state` again, with its video; it goes on as if it had never been closed.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is no session, or one of another video or model.
        """
        session = self.init_state(video_path)
        load_session(session, path)
        return session

    def warm_up(self, objects: int = 1, points: int = 1, prompted_frames: int = 2) -> None:
        """Compiles all that sessions need of so many objects at most, clicks of one on a frame, and prompted frames."""
        warm_up(self, objects, points, prompted_frames)

    def reset_state(self, inference_state: VideoSession) -> None:
        """Forgets all objects; the video stays open."""
        inference_state.objects.clear()

    def _answers(self, session: VideoSession, order: range, return_scores: bool, need_output: bool) -> Iterator[tuple]:
        for frame in session.track(order):
            answer = self._answer(session, frame) if need_output else (frame, session.obj_ids, None)
            yield (*answer, session.scores(frame)) if return_scores else answer

    def _answer(
        self, session: VideoSession, frame: int, counts: bool | None = None, keep: bool = False
    ) -> tuple[int, list, np.ndarray]:
        results = [item.result(frame, counts) for item in session.objects.values()]
        return frame, session.obj_ids, session.masks(frame, results, not self.non_overlap_masks, keep)
