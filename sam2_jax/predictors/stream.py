# SPDX-License-Identifier: Apache-2.0
"""`SAM2StreamPredictor`: a camera's frames one at a time, for as long as they come, in memory that never grows.

In: a frame, and prompts on the latest one. Out: masks of all objects on it, NumPy logits at the frame's size.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax import memory_bank, transfer
from sam2_jax.media import read_picture, remove_small_regions, resize_frame, resize_logits, resize_mask
from sam2_jax.memory_bank import MemoryBank, empty_memory
from sam2_jax.model import SAM2
from sam2_jax.predictors.prompts import check_clicks, check_mask, lay_out_correction
from sam2_jax.segmentation import encode_frames
from sam2_jax.tracking import predict_first, predict_with_memory, remember, take_masks, track_frame
from sam2_jax.types import FrameFeatures, MaskPrediction


@dataclasses.dataclass(frozen=True)
class StreamMasks:
    """What is seen on the latest frame.

    Attributes:
        frame: its index, from 0.
        obj_ids: the objects, in the order of the other fields.
        masks: (O, 1, H, W) float32 logits at the frame's size.
        object_score: (O,) float32 logit that each object is in the frame.
        iou: (O,) float32 predicted intersection over union.
    """

    frame: int
    obj_ids: list[int]
    masks: np.ndarray
    object_score: np.ndarray
    iou: np.ndarray


class SAM2StreamPredictor:
    """Objects through a stream of frames. They come and go at any frame.

    Args:
        model, params: as `sam2_jax.load` returns them.
        prompted_frames: how many prompted frames of an object are remembered; the oldest makes way.
        fill_hole_area: holes of at most so many pixels of the low-resolution mask are filled; 0 for none.
    """

    def __init__(self, model: SAM2, params: dict, prompted_frames: int = 4, fill_hole_area: int = 8):
        if not model.config.has_memory:
            raise ValueError(f"The weights of {model.config.name} serve pictures only; a stream needs a memory.")
        self.model = model
        self.params = params
        self.fill_hole_area = fill_hole_area
        self._prompted_frames = prompted_frames
        self.reset()

    def reset(self) -> None:
        """Forgets all objects and frames."""
        self.frame = -1
        self._size: tuple[int, int] | None = None
        self._features: FrameFeatures | None = None
        self._rows: list[int | None] = [None]
        self._points: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        # The bank before the latest frame and after it: a second click on the frame starts from the first again.
        self._before = self._memory = self._empty(1)
        self._seen = self._nothing(1)
        self._known = np.zeros(1, bool)  # rows that had a memory before the latest frame

    @property
    def obj_ids(self) -> list[int]:
        return [obj_id for obj_id in self._rows if obj_id is not None]

    def add_frame(self, frame) -> StreamMasks:
        """Carries all objects to the next frame: an array (H, W, 3) uint8, a PIL image or a path.

        Raises:
            ValueError: it is no picture, or of another size than the frames before; the stream stays as it was.
        """
        picture = read_picture(frame)
        if self._size not in (None, picture.shape[:2]):
            came, before = ("{1} x {0}".format(*size) for size in (picture.shape[:2], self._size))
            raise ValueError(f"Frame {self.frame + 1} is {came} pixels; the frames before it are {before}.")
        features = encode_frames(self.model, self.params, resize_frame(picture, self.model.config.image_size)[None])
        self._size, self._features, self.frame = picture.shape[:2], features, self.frame + 1
        self._points.clear()
        self._before = self._memory
        self._known = np.array([obj_id is not None for obj_id in self._rows])
        if self._known.any():
            memory, seen = track_frame(self.model, self.params, self._memory, features, self.frame)
            self._memory = memory_bank.forget(memory, jnp.asarray(~self._known[None]))
            self._seen = transfer.to_host(seen)
        return self._answer()

    def add_new_points_or_box(
        self,
        obj_id: int,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: np.ndarray | None = None,
    ) -> StreamMasks:
        """Prompts an object, new or known, on the latest frame; arguments as of `SAM2VideoPredictor`."""
        self._require_frame()
        config = self.model.config
        earlier = self._points.get(obj_id)
        given = check_clicks(
            earlier, self._size, config.image_size, points, labels, box, clear_old_points, normalize_coords
        )
        row = self._rows.index(obj_id) if obj_id in self._rows else None
        shown = None if row is None else self._shown(self._seen.logits[0, row])
        prompts = lay_out_correction(*given, shown, config.mask_size)
        if row is not None and self._known[row]:
            memory = jax.tree.map(lambda x: x[:, row : row + 1], self._before)
            prediction = predict_with_memory(
                self.model, self.params, memory, self._features, self.frame, prompts=prompts
            )
        else:
            prediction = predict_first(self.model, self.params, self._features, prompts)
        self._points[obj_id] = given
        return self._take(obj_id, prediction)

    def add_new_mask(self, obj_id: int, mask: np.ndarray) -> StreamMasks:
        """Gives an object's mask on the latest frame, (H, W) bool of any size; it is taken as it is."""
        self._require_frame()
        given = resize_mask(check_mask(mask), self.model.config.image_size).astype(np.float32)[None, None]
        self._points.pop(obj_id, None)
        return self._take(obj_id, take_masks(self.model, self.params, self._features, given))

    def remove_object(self, obj_id: int) -> None:
        """Forgets an object; its place is free for another."""
        if obj_id not in self._rows:
            raise ValueError(f"There is no object {obj_id}; the stream has {self.obj_ids}.")
        row = self._rows.index(obj_id)
        self._rows[row] = None
        self._known[row] = False
        self._points.pop(obj_id, None)
        self._memory = memory_bank.forget(self._memory, jnp.asarray(np.arange(len(self._rows))[None] == row))

    def _take(self, obj_id: int, prediction: MaskPrediction) -> StreamMasks:
        """Makes a prompted prediction of one object the truth of the latest frame, and remembers it."""
        prediction = transfer.to_host(prediction)
        shown = self._shown(prediction.logits[0, 0])[None, None]
        maps = remember(
            self.model, self.params, self._features, prediction.replace(logits=shown), np.ones((1, 1), bool)
        )
        row = self._row_of(obj_id)
        only = np.arange(len(self._rows))[None] == row
        self._seen = jax.tree.map(lambda seen, new: _with_row(seen, row, new), self._seen, prediction)
        self._memory = _write(self.model.config, self._memory, self.frame, maps, prediction.pointer, only, only)
        return self._answer()

    def _row_of(self, obj_id: int) -> int:
        if obj_id in self._rows:
            return self._rows.index(obj_id)
        if None not in self._rows:
            rows = len(self._rows)
            grow = functools.partial(jax.tree.map, lambda old, new: jnp.concatenate([old, new], axis=1))
            self._before, self._memory = (grow(bank, self._empty(rows)) for bank in (self._before, self._memory))
            self._seen = jax.tree.map(lambda *seen: np.concatenate(seen, axis=1), self._seen, self._nothing(rows))
            self._rows += [None] * rows
            self._known = np.concatenate([self._known, np.zeros(rows, bool)])
        row = self._rows.index(None)
        self._rows[row] = obj_id
        return row

    def _answer(self) -> StreamMasks:
        rows = [row for row, obj_id in enumerate(self._rows) if obj_id is not None]
        seen, side = self._seen, self.model.config.mask_size
        logits = [self._shown(seen.logits[0, row]) for row in rows]
        masks = resize_logits(np.reshape(logits, (len(rows), side, side)), self._size)
        return StreamMasks(self.frame, self.obj_ids, masks[:, None], seen.object_score[0, rows], seen.iou[0, rows])

    def _shown(self, logits: np.ndarray) -> np.ndarray:
        return remove_small_regions(logits, 0, self.fill_hole_area, margin=0.1)

    def _empty(self, rows: int) -> MemoryBank:
        return empty_memory(self.model.config, 1, rows, self._prompted_frames)

    def _nothing(self, rows: int) -> MaskPrediction:
        config = self.model.config
        return MaskPrediction(
            logits=np.zeros((1, rows, config.mask_size, config.mask_size), np.float32),
            iou=np.zeros((1, rows), np.float32),
            object_score=np.zeros((1, rows), np.float32),
            pointer=np.zeros((1, rows, config.hidden_dim), np.float32),
        )

    def _require_frame(self) -> None:
        if self.frame < 0:
            raise RuntimeError("There is no frame yet; call add_frame first.")


_write = jax.jit(memory_bank.write, static_argnums=0)


def _with_row(seen: np.ndarray, row: int, new: np.ndarray) -> np.ndarray:
    """`seen` (1, O, ...) with one object's values in place of its own, (1, 1, ...)."""
    seen = seen.copy()
    seen[:, row] = new[:, 0]
    return seen
