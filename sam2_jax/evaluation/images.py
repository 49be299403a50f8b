# SPDX-License-Identifier: Apache-2.0
"""The Segment Anything task (sections 6.3 and F.3): clicks on objects in pictures, and mIoU after each.

In: frames of a `Clip`, each taken as a picture, and something that answers clicks on it. Out: the IoU of each object
after each click. `SAM2OnPictures` answers as `SAM2ImagePredictor` does, for many objects at a time.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from sam2_jax import transfer
from sam2_jax.buckets import bucket
from sam2_jax.evaluation.clicking import click_and_look, pad_packed, unpack
from sam2_jax.evaluation.clips import Clip
from sam2_jax.frame_step import for_each_row
from sam2_jax.media.resizing import resize_picture
from sam2_jax.model import SAM2
from sam2_jax.model.mask_decoder import best_ambiguous, clear_mask, take_mask
from sam2_jax.segmentation import encode_frames
from sam2_jax.target import compiled
from sam2_jax.types import FrameFeatures

CLICKS = 5
_PICTURES_AT_ONCE = 8
_OBJECTS_AT_ONCE = 16


class ClicksOnPictures(Protocol):
    """What the protocol asks of a model."""

    def __call__(
        self, pictures: np.ndarray, truth: Sequence[np.ndarray], clicks: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The IoU of each object after each click, and its mask after the last one.

        The first click is at the centre of the true mask, each other one at the centre of what is wrong.

        Args:
            pictures: (B, H, W, 3) uint8 RGB.
            truth: of each picture, (O, H, W) bool true masks, none of them empty.

        Returns:
            Of each picture, (O, clicks) and logits (O, h, w) of any size.
        """


@dataclasses.dataclass(frozen=True)
class ClickedMasks:
    """N masks of a clip, each an object on a frame.

    Attributes:
        frames: (N,) int.
        places: (N,) int, the object's place in the clip.
        ious: (N, clicks) float32 after each click.
        worst: of the mask of lowest IoU after the last click, which of the N it is, and its logits (h, w).
    """

    frames: np.ndarray
    places: np.ndarray
    ious: np.ndarray
    worst: tuple[int, np.ndarray]


def evaluate_pictures(model: ClicksOnPictures, clip: Clip, clicks: int = CLICKS, every: int = 1) -> ClickedMasks:
    """Clicks on each object of a clip on each annotated frame that it is in sight on.

    Args:
        every: only each so many-th annotated frame, beginning with the first.
    """
    frames, places, ious, lowest, worst = [], [], [], np.inf, None
    chosen = clip.annotated[::every]
    for start in range(0, len(chosen), _PICTURES_AT_ONCE):
        few = list(chosen[start : start + _PICTURES_AT_ONCE])
        truth = [clip.truth(frame) for frame in few]
        there = [np.flatnonzero(masks.any((1, 2))) for masks in truth]
        answers = model(clip.frames(few), [masks[seen] for masks, seen in zip(truth, there)], clicks)
        for frame, seen, (fitted, logits) in zip(few, there, answers):
            if len(seen) and fitted[:, -1].min() < lowest:
                row = int(fitted[:, -1].argmin())
                lowest, worst = fitted[row, -1], (sum(map(len, places)) + row, np.array(logits[row]))
            frames.append(np.full(len(seen), frame))
            places.append(seen)
            ious.append(fitted)
    return ClickedMasks(np.concatenate(frames), np.concatenate(places), np.concatenate(ious), worst)


class SAM2OnPictures:
    """SAM 2 behind `ClicksOnPictures`.

    One click is answered by the surest of the three masks for ambiguous prompts, more by the mask for clear ones, which
    yields to the best of the three where it is unstable. Each click is made on the answer to those before.

    Args:
        model, params: as `sam2_jax.load` returns them.
    """

    def __init__(self, model: SAM2, params: dict):
        self.model, self.params = model, params

    def __call__(
        self, pictures: np.ndarray, truth: Sequence[np.ndarray], clicks: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The IoU of each object after each click, and its logits after the last one, as of `ClicksOnPictures`."""
        size = pictures.shape[1:3]
        resized = np.stack([resize_picture(picture, self.model.config.image_size) for picture in pictures])
        resized = np.pad(resized, [(0, bucket(len(resized)) - len(resized)), (0, 0), (0, 0), (0, 0)])
        features = encode_frames(self.model, self.params, resized)
        rows = [(index, mask) for index, masks in enumerate(truth) for mask in masks]
        answers = []
        for start in range(0, len(rows), _OBJECTS_AT_ONCE):
            few = rows[start : start + _OBJECTS_AT_ONCE]
            count = bucket(len(few))
            pictures_of = np.zeros(count, np.int32)
            pictures_of[: len(few)] = [index for index, _ in few]
            packed = np.packbits([mask for _, mask in few], axis=-1)
            packed = np.pad(pad_packed(packed, size), [(0, count - len(few)), (0, 0), (0, 0)])
            arguments = features, pictures_of, packed, np.array(size, np.int32)
            answers.append((_click_on_pictures(self.model, self.params, *arguments, clicks=clicks), len(few)))
        answers = [[values[:count] for values in transfer.to_host(answer)] for answer, count in answers]
        ends = np.cumsum([len(masks) for masks in truth])[:-1]
        return list(zip(*(np.split(np.concatenate(values), ends) for values in zip(*answers))))


@struct.dataclass
class _Answer:
    logits: jax.Array


@functools.partial(compiled, static_argnames=("clicks",))
def _click_on_pictures(
    model: SAM2,
    params: dict,
    features: FrameFeatures,
    pictures: jax.Array,
    packed: jax.Array,
    size: jax.Array,
    clicks: int,
) -> tuple[jax.Array, jax.Array]:
    """IoU (O, clicks) of O objects, true masks (O, H, W / 8) uint8, on pictures (O,) int32 of those encoded.

    Returns the logits (O, S/4, S/4) after the last click, too.
    """

    def click(row):
        picture, packed = row
        own = jax.tree.map(lambda x: x[picture][None], features)
        own = model.apply({"params": params}, own, method="without_memory")

        def predict(prompts, which):
            decoded = model.apply({"params": params}, own, prompts, method="decode")
            index = jnp.where(which == 0, best_ambiguous(decoded.ious), clear_mask(decoded))
            return _Answer(take_mask(decoded.logits, index))

        truth = unpack(packed)[None, None]
        answer, ious = click_and_look(predict, truth, size[None], model.config.image_size, clicks)
        return ious[:, 0, 0], answer.logits[0, 0]

    return for_each_row(model, click, (pictures, packed))
