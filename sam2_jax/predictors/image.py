# SPDX-License-Identifier: Apache-2.0
"""`SAM2ImagePredictor`: prompts on a picture, with the published names, arguments, defaults and array layouts.

In: pictures of any size and prompts in their pixels. Out: masks at the pictures' sizes, NumPy.
"""

from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image

from sam2_jax import transfer
from sam2_jax.media import read_picture, remove_small_regions, resize_logits, resize_picture
from sam2_jax.model import SAM2
from sam2_jax.predictors.prompts import prepare_prompts
from sam2_jax.segmentation import decode_image, encode_frames
from sam2_jax.types import FrameFeatures

_MOST_PICTURES_AT_ONCE = 8


class SAM2ImagePredictor:
    """Encodes a picture once, then answers prompts on it.

    Args:
        model, params: as `sam2_jax.load` returns them.
        mask_threshold: logits above it are the object.
        max_hole_area: holes of at most so many pixels of the low-resolution mask are filled; 0 for none.
        max_sprinkle_area: islands of at most so many pixels of the low-resolution mask are removed; 0 for none.
    """

    def __init__(
        self,
        model: SAM2,
        params: dict,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ):
        self.model = model
        self.params = params
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self.reset_predictor()

    def set_image(self, image: np.ndarray | Image.Image | str) -> None:
        """Encodes a picture: a NumPy array (H, W, 3) RGB uint8, a PIL image, or a path.

        Raises:
            ValueError: it is no picture. The picture set before, if any, stays.
        """
        self._encode([image], is_batch=False)

    def set_image_batch(self, image_list: Sequence[np.ndarray | Image.Image | str]) -> None:
        """Encodes several pictures, of any sizes, for `predict_batch`."""
        if not isinstance(image_list, list | tuple) or not image_list:
            raise ValueError(f"image_list is a {type(image_list).__name__}; expected a list of at least one picture.")
        self._encode(image_list, is_batch=True)

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks for the prompts on the picture that is set.

        A leading axis of B objects on the prompts gives B answers; with one object the axis is left out.

        Args:
            point_coords: (N, 2) or (B, N, 2) points (x, y), pixels of the picture.
            point_labels: (N,) or (B, N), 1 for the object, 0 for the background.
            box: (4,) or (B, 4) as (x0, y0, x1, y1), pixels of the picture.
            mask_input: (1, S/4, S/4) or (B, 1, S/4, S/4) low-resolution logits of an earlier answer.
            multimask_output: three masks, for an ambiguous prompt such as one click; else one.
            return_logits: logits in place of masks.
            normalize_coords: points and boxes are in pixels; else fractions of the picture.

        Returns:
            masks: ([B,] M, H, W) float32, 0 or 1, or logits.
            ious: ([B,] M) float32 the model's own estimate of each mask's quality.
            low_resolution: ([B,] M, S/4, S/4) float32 logits, for a next `mask_input`.

        Raises:
            RuntimeError: no picture is set.
            ValueError: a prompt is not as expected; one sentence says which and how.
        """
        if self._is_batch:
            raise RuntimeError("A batch of pictures is set; call predict_batch, or set_image before predict.")
        return self._predict(
            0, point_coords, point_labels, box, mask_input, multimask_output, return_logits, normalize_coords
        )

    def predict_batch(
        self,
        point_coords_batch: Sequence[np.ndarray] | None = None,
        point_labels_batch: Sequence[np.ndarray] | None = None,
        box_batch: Sequence[np.ndarray] | None = None,
        mask_input_batch: Sequence[np.ndarray] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """`predict` for each picture of a batch: lists of prompts, one entry each, to lists of answers."""
        if not self._is_batch:
            raise RuntimeError("No batch of pictures is set; call set_image_batch before predict_batch.")
        count = len(self._features)
        prompts = dict(
            point_coords_batch=point_coords_batch,
            point_labels_batch=point_labels_batch,
            box_batch=box_batch,
            mask_input_batch=mask_input_batch,
        )
        for name, values in prompts.items():
            if values is not None and len(values) != count:
                raise ValueError(f"{name} has {len(values)} entries; expected {count}, one for each picture.")
        columns = ([None] * count if values is None else values for values in prompts.values())
        answers = [
            self._predict(index, *row, multimask_output, return_logits, normalize_coords)
            for index, row in enumerate(zip(*columns))
        ]
        masks, ious, low_resolution = map(list, zip(*answers))
        return masks, ious, low_resolution

    def get_image_embedding(self) -> np.ndarray:
        """The embedding of the picture, (1, C, S/16, S/16), or of each of a batch (B, C, S/16, S/16)."""
        self._require_image()
        absent, maps = transfer.to_host((self.params["no_mem_embed"], [each.embedding for each in self._features]))
        maps = [embedding.astype(np.float32) + absent.astype(np.float32).reshape(-1) for embedding in maps]
        return np.moveaxis(np.concatenate(maps), -1, 1)

    def reset_predictor(self) -> None:
        """Forgets the picture."""
        self._features: list[FrameFeatures] = []
        self._sizes: list[tuple[int, int]] = []
        self._is_batch = False

    def _encode(self, images: Sequence, is_batch: bool) -> None:
        pictures = [read_picture(image) for image in images]
        frames = np.stack([resize_picture(picture, self.model.config.image_size) for picture in pictures])
        features, start = [], 0
        while start < len(frames):
            # In powers of two, so that batches of many sizes share a few compiled ones.
            count = min(1 << (len(frames) - start).bit_length() - 1, _MOST_PICTURES_AT_ONCE)
            encoded = encode_frames(self.model, self.params, frames[start : start + count])
            features += [jax.tree.map(lambda x, i=i: x[i : i + 1], encoded) for i in range(count)]
            start += count
        self._features, self._is_batch = features, is_batch
        self._sizes = [picture.shape[:2] for picture in pictures]

    def _require_image(self) -> None:
        if not self._features:
            raise RuntimeError("No picture is set; call set_image first.")

    def _predict(self, index, points, labels, box, mask_input, multimask, return_logits, normalize):
        self._require_image()
        prompts, objects = prepare_prompts(
            points, labels, box, mask_input, self._sizes[index], self.model.config.image_size, normalize
        )
        answer = decode_image(self.model, self.params, self._features[index], prompts, multimask)
        logits, ious = (values[0, :objects] for values in transfer.to_host((answer.logits, answer.ious)))
        cleaned = remove_small_regions(logits, self.mask_threshold, self.max_hole_area, self.max_sprinkle_area)
        masks = resize_logits(cleaned, self._sizes[index])
        if not return_logits:
            masks = (masks > self.mask_threshold).astype(np.float32)
        low_resolution = np.clip(logits, -32, 32)
        if objects == 1:
            return masks[0], ious[0], low_resolution[0]
        return masks, ious, low_resolution
