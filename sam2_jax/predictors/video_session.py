# SPDX-License-Identifier: Apache-2.0
"""A session in a user's pixels: prompts as they are given, masks as they are shown.

In: points, boxes and masks at the video's size. Out: NumPy logits at the video's size.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from sam2_jax.media.resizing import resize_logits, resize_mask
from sam2_jax.media.videos import Video
from sam2_jax.predictors.prompts import check_clicks, check_mask, lay_out_correction, stack_prompts
from sam2_jax.session import Kept, Result, Runtime, Session, TrackedObject
from sam2_jax.types import ABSENT


class VideoSession(Session):
    """The state of one video that a user prompts, from `SAM2VideoPredictor.init_state`.

    Attributes:
        video: whose frames it is about.
        obj_ids: of the objects, in the order they came.
    """

    def __init__(self, runtime: Runtime, video: Video):
        super().__init__(runtime, video)
        self.video = video
        self._shown: dict[Result, Kept] = {}  # masks of the frame that was prompted last

    @property
    def obj_ids(self) -> list:
        return list(self.objects)

    def object(self, obj_id: Hashable) -> TrackedObject:
        if obj_id not in self.objects:
            raise RuntimeError(f"There is no object {obj_id}; the session has {self.obj_ids}.")
        return self.objects[obj_id]

    def check_frame(self, frame: int) -> None:
        if not 0 <= frame < self.video.length:
            raise ValueError(f"Frame {frame} does not exist; the video has {self.video.length} frames.")

    def prompt(self, frame: int, prompts: Mapping[Hashable, Mapping[str, Any]], corrections_count: bool) -> bool:
        """Prompts objects on a frame; arguments as of `SAM2VideoPredictor.add_prompts`.

        Args:
            corrections_count: a prompt on a frame that was tracked makes a prompted memory, too.

        Returns:
            Whether the prompts count as such.
        """
        config = self.runtime.model.config
        items = {obj_id: self.objects.get(obj_id) or TrackedObject() for obj_id in prompts}
        masks, clicks, laid_out = {}, {}, []
        for obj_id, prompt in prompts.items():
            if "mask" in prompt:
                masks[obj_id] = resize_mask(check_mask(prompt["mask"]), config.image_size).astype(np.float32)
                continue
            size = self.video.height, self.video.width
            earlier, before = items[obj_id].points.get(frame), items[obj_id].result(frame)
            clicks[obj_id] = check_clicks(earlier, size, config.image_size, **prompt)
            shown = None if before is None else self.shown(before.logits)
            laid_out.append(lay_out_correction(*clicks[obj_id], shown, config.mask_size))
        results: dict[Hashable, Result] = {}
        if clicks:
            results |= zip(clicks, self.correct([items[obj_id] for obj_id in clicks], frame, stack_prompts(laid_out)))
        if masks:
            results |= zip(masks, self.take(frame, np.stack(list(masks.values()))))
        counts = True
        for obj_id, item in items.items():
            item.forget_prompts(frame)
            if obj_id in clicks:
                item.points[frame] = clicks[obj_id]
            else:
                item.masked.add(frame)
            # Kept until the next propagation, which makes a memory of it.
            counts = corrections_count or frame not in item.directions
            item.pending[frame] = (results[obj_id], counts)
            self.objects[obj_id] = item
        return counts

    def order(self, start: int | None, most: int | None, reverse: bool) -> range:
        """The frames of a pass, as `SAM2VideoPredictor.propagate_in_video` takes them."""
        length = self.video.length
        if start is None:
            start = min(frame for item in self.objects.values() for frame in item.prompted)
        count = length if most is None else most
        if not reverse:
            return range(start, min(start + count, length - 1) + 1)
        return range(start, max(start - count, 0) - 1 if start > 0 else start, -1)

    def scores(self, frame: int) -> dict[str, np.ndarray]:
        """By name, the scores (O,) of all objects on a frame; NaN where there are none."""
        results = [item.result(frame) for item in self.objects.values()]
        return {
            name: np.array([getattr(result, name, np.nan) for result in results], np.float32)
            for name in ("object_score", "iou")
        }

    def masks(self, frame: int, results: Sequence[Result | None], overlap: bool, keep: bool = False) -> np.ndarray:
        """Logits (O, 1, H, W) float32 of results on a frame, `ABSENT` for None.

        Args:
            overlap: without it each pixel is of the one object that is surest of it.
            keep: more prompts on the frame may follow, so the masks that they will not change are kept.
        """
        kept = {row: self._shown[result].get() for row, result in enumerate(results) if result in self._shown}
        kept = {row: mask for row, mask in kept.items() if mask is not None}
        absent = np.full((self.runtime.model.config.mask_size,) * 2, ABSENT, np.float32)
        new = [row for row in range(len(results)) if row not in kept]
        logits = [absent if results[row] is None else self.shown(results[row].logits) for row in new]
        masks = resize_logits(np.reshape(logits, (-1, *absent.shape)), (self.video.height, self.video.width))
        if kept:
            resized, masks = masks, np.empty((len(results), *masks.shape[1:]), np.float32)
            masks[new], masks[list(kept)] = resized, list(kept.values())
        if keep:
            host, seen = self.runtime.storage.host, (row for row, result in enumerate(results) if result is not None)
            self._shown = {
                results[row]: self._shown[results[row]] if row in kept else host.keep(masks[row].copy(), droppable=True)
                for row in seen
            }
        if not overlap and len(masks) > 1:
            winner = masks.argmax(axis=0)
            masks = np.where(np.arange(len(masks))[:, None, None] == winner, masks, np.minimum(masks, -10))
        return masks[:, None]
