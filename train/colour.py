# SPDX-License-Identifier: Apache-2.0
"""Colour changes of training frames, done on the device inside the training step.

In: uint8 frames as the pipeline sends them, and the changes it drew (`data.augmentation.draw_colour`). Out: float32
frames in 0..255, for `encode_frames`, which normalises them.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

GREY_WEIGHTS = (0.2989, 0.587, 0.114)


def jitter(frames: jax.Array, colour: Mapping[str, jax.Array]) -> jax.Array:
    """Brightness, contrast and saturation of each frame, twice, each time in its own order, and grayscale between.

    The formulas are those of torchvision's `ColorJitter` and `Grayscale` on float tensors, to 1e-3 of a grey level.
    The published training applies them to PIL images, where each of the six operations also rounds down: its frames
    are darker by 2.7 grey levels in the mean. Factors of 1 change nothing.

    Args:
        frames: (..., S, S, 3) uint8, or float in 0..255.
        colour: factors (..., 2, 3) float32 of brightness, contrast and saturation; order (..., 2, 3) int32, which of
            the three comes first, second and third; grayscale (...) bool.

    Returns:
        (..., S, S, 3) float32, 0..255.
    """
    frames = jnp.asarray(frames, jnp.float32)
    factors, order = jnp.asarray(colour["factors"], jnp.float32), jnp.asarray(colour["order"])
    frames = _round(frames, factors[..., 0, :], order[..., 0, :])
    frames = jnp.where(_over_pixels(jnp.asarray(colour["grayscale"])), _grey(frames), frames)
    return _round(frames, factors[..., 1, :], order[..., 1, :])


def _round(frames: jax.Array, factors: jax.Array, order: jax.Array) -> jax.Array:
    """The three operations once, in the given order, whose numbers are those of `data.augmentation.OPERATIONS`.

    Each blends the frame with a reference: black, its mean grey, or its own grey. So one formula does all three, and
    no order needs a program of its own.
    """
    for place in range(3):
        operation = order[..., place]
        factor = jnp.take_along_axis(factors, operation[..., None], axis=-1)[..., 0]
        grey = _grey(frames)
        mean = jnp.mean(grey, axis=(-3, -2, -1), keepdims=True)
        operation, factor = _over_pixels(operation), _over_pixels(factor)
        reference = jnp.where(operation == 0, 0.0, jnp.where(operation == 1, mean, grey))
        frames = jnp.clip(factor * frames + (1 - factor) * reference, 0.0, 255.0)
    return frames


def _grey(frames: jax.Array) -> jax.Array:
    """(..., S, S, 1). Sums by hand: a matrix product would run in bfloat16 on TPUs."""
    red, green, blue = GREY_WEIGHTS
    return red * frames[..., 0:1] + green * frames[..., 1:2] + blue * frames[..., 2:3]


def _over_pixels(values: jax.Array) -> jax.Array:
    return values[..., None, None, None]
