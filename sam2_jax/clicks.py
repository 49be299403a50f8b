# SPDX-License-Identifier: Apache-2.0
"""Where a simulated user clicks: anywhere in what the model got wrong, or at the middle of it; and the boxes they draw.

In: the true mask of each object and the predicted one, (..., H, W) bool. Out: (x, y) in pixels of those masks and
`Label`s, for the same leading axes. Pure functions; training clicks uniformly (section 5), evaluation at the centre
(section F.1.2).
"""

import jax
import jax.numpy as jnp
from jax import lax

from sam2_jax.types import Label

BOX_NOISE = 0.1  # how far a drawn side is off at most, as a part of the box's width or height,
MOST_BOX_NOISE = 20.0  # and in pixels
_FAR = 1 << 14  # farther than any two pixels of a mask; its square, twice, still fits in 32 bits
_OFFSETS_AT_ONCE = 8


def uniform_click(key: jax.Array, truth: jax.Array, prediction: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """A click drawn uniformly from the pixels that are wrong.

    It is `FOREGROUND` where the object was missed and `BACKGROUND` where something else was taken for it. When nothing
    is wrong, it is a `BACKGROUND` click, uniform outside the object, or at (0, 0) where there is no outside. One number
    is drawn for each mask.

    Args:
        truth: (..., H, W) bool. An object that is not in the frame is empty.
        prediction: (..., H, W) bool; without one, all of `truth` was missed.

    Returns:
        Points (..., 2) float32 as (x, y) in pixels, and labels (...) int32.
    """
    missed, wrong = _errors(truth, prediction)
    errors = missed | wrong
    candidates = jnp.where(errors.any((-2, -1), keepdims=True), errors, ~truth)
    up_to_row = jnp.cumsum(candidates.sum(-1, dtype=jnp.int32), axis=-1)
    count = up_to_row[..., -1]
    chosen = jax.random.randint(key, count.shape, 0, jnp.maximum(count, 1))

    y = (up_to_row <= chosen[..., None]).sum(-1, dtype=jnp.int32)
    y = jnp.where(count > 0, y, 0)
    in_earlier_rows = jnp.where(y > 0, _pick(up_to_row, y - 1), 0)
    up_to_pixel = jnp.cumsum(_pick_row(candidates, y), axis=-1, dtype=jnp.int32)
    x = (up_to_pixel <= (chosen - in_earlier_rows)[..., None]).sum(-1, dtype=jnp.int32)
    x = jnp.where(count > 0, x, 0)
    return _click(x, y, _pick(_pick_row(missed, y), x))


def centre_click(truth: jax.Array, prediction: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """A click at the middle of what is wrong: the pixel farthest from the border of the regions of error.

    It is `FOREGROUND` where the object was missed and `BACKGROUND` where something else was taken for it: whichever
    region is deeper, and `BACKGROUND` where both are as deep. Of pixels equally far it is the first in row order. When
    nothing is wrong, it is `BACKGROUND` at (0, 0), as published. Distances are compared exactly; the published click
    may fall on another one of pixels equally far, where OpenCV rounds their distances differently.

    Args:
        truth: (..., H, W) bool.
        prediction: (..., H, W) bool; without one, all of `truth` was missed.

    Returns:
        Points (..., 2) float32 as (x, y) in pixels, and labels (...) int32.
    """
    depth = _squared_distance(jnp.stack(_errors(truth, prediction)), padding=True)
    depth = depth.reshape(*depth.shape[:-2], -1)
    foreground = depth[0].max(-1) > depth[1].max(-1)
    index = jnp.where(foreground, depth[0].argmax(-1), depth[1].argmax(-1))
    y, x = jnp.divmod(index, truth.shape[-1])
    return _click(x, y, foreground)


def box(truth: jax.Array) -> jax.Array:
    """The box around each mask: (..., 2, 2) float32, the (x, y) of its first and of its last pixel, both inside it.

    Around an empty mask it is ((W, H), (-1, -1)), as published.
    """

    def ends(occupied):
        size = occupied.shape[-1]
        at = jnp.arange(size)
        return jnp.where(occupied, at, size).min(-1), jnp.where(occupied, at, -1).max(-1)

    left, right = ends(truth.any(-2))
    top, bottom = ends(truth.any(-1))
    corners = jnp.stack([jnp.stack([left, top], -1), jnp.stack([right, bottom], -1)], -2)
    return corners.astype(jnp.float32)


def noisy_box(key: jax.Array, truth: jax.Array) -> jax.Array:
    """The box as a user draws it: (..., 2, 2) float32, each side off by up to a tenth of the box's width or height.

    A side is off by 20 pixels at most, uniformly, and stays in the frame. The box of an empty mask is inside out, its
    first corner beyond its last, as published.
    """
    corners = box(truth)
    off_by = jnp.minimum((corners[..., 1, :] - corners[..., 0, :]) * BOX_NOISE, MOST_BOX_NOISE)
    corners = corners + off_by[..., None, :] * (2 * jax.random.uniform(key, corners.shape) - 1)
    height, width = truth.shape[-2:]
    return jnp.clip(corners, 0, jnp.array([width - 1, height - 1], jnp.float32))


def distance_to_background(mask: jax.Array, padding: bool = True) -> jax.Array:
    """The exact Euclidean distance of each pixel to the nearest one outside the mask: (..., H, W) float32, pixels.

    Args:
        mask: (..., H, W) bool, up to 8,192 pixels a side.
        padding: beyond the frame is background. Without it the frame ends nothing, and where there is no background
            at all the distance is infinite.
    """
    squared = _squared_distance(mask, padding)
    return jnp.where(squared < _FAR**2, jnp.sqrt(squared.astype(jnp.float32)), jnp.inf)


def _squared_distance(mask: jax.Array, padding: bool) -> jax.Array:
    """The squared distance to the background: first along the rows, then the best of all rows down each column.

    Rows are tried from the nearest outwards, until they are farther than the deepest pixel: work goes with the depth of
    the regions and not with the height of the frame.
    """
    height, width = mask.shape[-2:]
    rows, columns = mask.ndim - 2, mask.ndim - 1
    x, y = jnp.arange(width), jnp.arange(height)
    before = lax.cummax(jnp.where(mask, -_FAR, x), axis=columns)
    after = lax.cummin(jnp.where(mask, 2 * _FAR, x), axis=columns, reverse=True)
    if padding:
        before, after = jnp.maximum(before, -1), jnp.minimum(after, width)
    along_row = jnp.minimum(jnp.minimum(x - before, after - x), _FAR) ** 2
    nearest = along_row
    if padding:
        nearest = jnp.minimum(nearest, jnp.minimum(y + 1, height - y)[:, None] ** 2)
    margin = height + _OFFSETS_AT_ONCE
    widths = [(0, 0)] * rows + [(margin, margin), (0, 0)]
    padded = jnp.pad(along_row, widths, constant_values=_FAR**2)

    def unfinished(state):
        offset, nearest = state
        return (offset < height) & (offset**2 < nearest.max())

    def try_offsets(state):
        first, nearest = state
        for offset in first + jnp.arange(_OFFSETS_AT_ONCE):
            above = lax.dynamic_slice_in_dim(padded, margin - offset, height, rows)
            below = lax.dynamic_slice_in_dim(padded, margin + offset, height, rows)
            nearest = jnp.minimum(nearest, jnp.minimum(above, below) + offset**2)
        return first + _OFFSETS_AT_ONCE, nearest

    return lax.while_loop(unfinished, try_offsets, (jnp.int32(1), nearest))[1]


def _errors(truth: jax.Array, prediction: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """What was missed, and what was wrongly taken for the object."""
    for name, mask in (("truth", truth), ("prediction", prediction)):
        if mask is not None and (mask.dtype != bool or mask.ndim < 2 or mask.shape != truth.shape):
            raise ValueError(f"{name} is {mask.dtype} {mask.shape}; expected bool (..., H, W), as large as the truth.")
    if prediction is None:
        return truth, jnp.zeros_like(truth)
    return truth & ~prediction, ~truth & prediction


def _click(x: jax.Array, y: jax.Array, foreground: jax.Array) -> tuple[jax.Array, jax.Array]:
    labels = jnp.where(foreground, Label.FOREGROUND, Label.BACKGROUND)
    return jnp.stack([x, y], -1).astype(jnp.float32), labels.astype(jnp.int32)


def _pick(values: jax.Array, index: jax.Array) -> jax.Array:
    """One of the last axis: (..., N) at (...) gives (...)."""
    return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def _pick_row(planes: jax.Array, y: jax.Array) -> jax.Array:
    """One row of each plane: (..., H, W) at (...) gives (..., W)."""
    return jnp.take_along_axis(planes, y[..., None, None], axis=-2)[..., 0, :]
