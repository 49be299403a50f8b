# SPDX-License-Identifier: Apache-2.0
"""A simulated user at work inside jit: click, look at the answer, click on what is wrong with it.

In: the true mask of an object, on pixels of its video, and a function from prompts to a prediction. Out: the prediction
after the last click, and how well each one fitted. Sizes of videos are numbers, not shapes: masks are padded to few
shapes, so that a video of another size compiles nothing.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from sam2_jax.buckets import bucket
from sam2_jax.clicks import centre_click
from sam2_jax.types import Label, Prompts

_PADDED_TO = 64  # pixels; a side of the masks is a multiple of it
_FEWEST_POINTS = 4
_CLAMPED_TO = 32.0  # what is fed back of logits, as published
Prediction = TypeVar("Prediction")


def pad_packed(packed: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks (..., H, W / 8) uint8, a bit a pixel, with sides that few videos differ in; beyond the frame is nothing."""
    height, width = (-(-side // _PADDED_TO) * _PADDED_TO for side in size)
    padding = [(0, 0)] * (packed.ndim - 2) + [(0, height - packed.shape[-2]), (0, width // 8 - packed.shape[-1])]
    return np.pad(packed, padding)


def unpack(packed: jax.Array) -> jax.Array:
    """(..., H, W / 8) uint8 -> (..., H, W) bool."""
    return jnp.unpackbits(packed, axis=-1).astype(bool)


def shown(logits: jax.Array, size: jax.Array, padded: tuple[int, int]) -> jax.Array:
    """Logits (..., h, w) as masks at the video's size (2,), H and W, in arrays of (..., *padded) bool.

    The numbers are those of `sam2_jax.media.resize_logits`: bilinear, without antialias.
    """
    rows, columns = (_interpolation(logits.shape[axis], size[axis], padded[axis]) for axis in (-2, -1))
    precision = jax.lax.Precision.HIGHEST
    return jnp.einsum("yh,...hw,xw->...yx", rows, logits, columns, precision=precision) > 0


def iou(truth: jax.Array, masks: jax.Array) -> jax.Array:
    """Intersection over union of (..., H, W) bool: (...) float32; 1 where both are empty."""
    intersection, union = (jnp.sum(x, axis=(-2, -1), dtype=jnp.int32) for x in (truth & masks, truth | masks))
    return jnp.where(union > 0, intersection / jnp.maximum(union, 1), 1.0)


def click_and_look(
    predict: Callable[[Prompts, jax.Array], Prediction],
    truth: jax.Array,
    size: jax.Array,
    image_size: int,
    clicks: int,
    before: jax.Array | None = None,
) -> tuple[Prediction, jax.Array]:
    """Clicks at the centre of what is wrong (section F.1.2), each on the answer to those before it.

    Args:
        predict: of prompts for O objects on each of B frames, and the number of the click, what has `logits`
            (B, O, S/4, S/4).
        truth: (B, O, H, W) bool, padded.
        size: (B, 2) int32 the height and width of the frames.
        image_size: S.
        before: (B, O, S/4, S/4) logits that the user saw before the first click; None for nothing.

    Returns:
        The prediction after the last click, and the IoU after each, (clicks, B, O).
    """
    videos, objects, *padded = truth.shape
    slots, low = bucket(clicks + 1, _FEWEST_POINTS), image_size // 4
    prompts = Prompts(
        points=jnp.zeros((videos, objects, slots, 2), jnp.float32),
        labels=jnp.full((videos, objects, slots), Label.PADDING, jnp.int32),
        masks=jnp.zeros((videos, objects, low, low), jnp.float32),
        has_mask=jnp.zeros((videos, objects), bool),
    )
    look = jax.vmap(lambda logits, size: shown(logits, size, tuple(padded)))
    ends = jnp.int32(Label.NOT_A_POINT)  # of every list of points
    scale = image_size / size[:, None, ::-1].astype(jnp.float32)  # of (x, y)

    def one_more(state, click):
        prompts, seen = state
        points, labels = centre_click(truth, seen)
        here = jnp.arange(slots)
        prompts = prompts.replace(
            points=jnp.where((here == click)[:, None], (points * scale)[:, :, None], prompts.points),
            labels=jnp.select([here == click, here == click + 1], [labels[..., None], ends], prompts.labels),
        )
        prediction = predict(prompts, click)
        seen = look(prediction.logits, size)
        fed_back = jnp.clip(prediction.logits, -_CLAMPED_TO, _CLAMPED_TO)
        prompts = prompts.replace(masks=fed_back, has_mask=jnp.ones((videos, objects), bool))
        return (prompts, seen), (prediction, iou(truth, seen))

    seen = jnp.zeros_like(truth)
    if before is not None:
        prompts = prompts.replace(
            masks=jnp.clip(before, -_CLAMPED_TO, _CLAMPED_TO), has_mask=jnp.ones((videos, objects), bool)
        )
        seen = look(before, size)
    _, (predictions, ious) = jax.lax.scan(one_more, (prompts, seen), jnp.arange(clicks))
    return jax.tree.map(lambda x: x[-1], predictions), ious


def _interpolation(source: int, size: jax.Array, padded: int) -> jax.Array:
    """(padded, source) float32 the weights that resize `source` values to `size`; rows beyond those are 0."""
    index = jnp.arange(padded)
    at = jnp.clip((index + 0.5) * source / size - 0.5, 0, source - 1)
    near = jnp.arange(source)
    # The weight of a value falls from 1, where it is, to 0 at its neighbours.
    return jnp.where((index < size)[:, None], jnp.maximum(1 - jnp.abs(at[:, None] - near), 0), 0)
