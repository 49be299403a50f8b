# SPDX-License-Identifier: Apache-2.0
"""J and F inside jit, equal to those of the host (`j_and_f`, `masklets`): to evaluate while training, and on a pod.

In: true and predicted masks (..., H, W) bool on the device. Out: numbers from 0 to 1, float32.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from sam2_jax.evaluation.j_and_f import boundary_tolerance


def j_and_f(truth: jax.Array, prediction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """J and F of each pair of masks: (..., H, W) bool gives (...) and (...) float32."""
    intersection, union = _count(truth & prediction), _count(truth | prediction)
    j = jnp.where(union > 0, intersection / jnp.maximum(union, 1), 1.0)

    true, predicted = _boundary(truth), _boundary(prediction)
    tolerance = boundary_tolerance(*truth.shape[-2:])
    true_length, predicted_length = _count(true), _count(predicted)
    precision = _count(predicted & _dilate(true, tolerance)) / jnp.maximum(predicted_length, 1)
    recall = _count(true & _dilate(predicted, tolerance)) / jnp.maximum(true_length, 1)
    both = precision + recall
    f = jnp.where(both > 0, 2 * precision * recall / jnp.where(both > 0, both, 1), 0.0)
    return j, jnp.where((true_length == 0) & (predicted_length == 0), 1.0, f)


def masklet_j_and_f(
    truth: jax.Array, prediction: jax.Array, annotated: jax.Array, keep_first_and_last: bool = False
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """J and F of masklets, averaged over the frames that count by the rules of SA-V (`masklets.SA_V`).

    Args:
        truth: (..., T, H, W) bool.
        prediction: (..., T, H, W) bool.
        annotated: (..., T) bool, the frames that have a truth.
        keep_first_and_last: count the first and the last annotated frame too.

    Returns:
        J (...) and F (...) float32, and whether the object counts at all (...) bool: whether the truth has it on a
        frame that counts. Where it does not, J and F are 0.
    """
    counts = jnp.broadcast_to(annotated, truth.shape[:-2])
    if not keep_first_and_last:
        order = jnp.cumsum(counts, axis=-1)
        counts &= (order > 1) & (order < order[..., -1:])
    in_truth = truth.any((-2, -1)) & counts
    appeared = (in_truth | (prediction.any((-2, -1)) & counts)).astype(jnp.int32)
    counts &= lax.cummax(appeared, axis=appeared.ndim - 1) > 0
    object_counts = in_truth.any(-1)
    weights = counts / jnp.maximum(counts.sum(-1, keepdims=True), 1) * object_counts[..., None]
    j, f = j_and_f(truth, prediction)
    return (j * weights).sum(-1), (f * weights).sum(-1), object_counts


def _boundary(mask: jax.Array) -> jax.Array:
    """As `j_and_f.boundary`."""
    mask = jnp.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(0, 1), (0, 1)], mode="edge")
    here, right = mask[..., :-1, :-1], mask[..., :-1, 1:]
    below, diagonal = mask[..., 1:, :-1], mask[..., 1:, 1:]
    return (here ^ right) | (here ^ below) | (here ^ diagonal)


def _dilate(mask: jax.Array, radius: int) -> jax.Array:
    """The pixels within `radius` of the mask: by the distance along each row, for the rows above and below."""
    height, width = mask.shape[-2:]
    columns, far = mask.ndim - 1, 4 * width + radius
    x = jnp.arange(width)
    before = lax.cummax(jnp.where(mask, x, -far), axis=columns)
    after = lax.cummin(jnp.where(mask, x, far), axis=columns, reverse=True)
    distance = jnp.minimum(x - before, after - x)
    padded = jnp.pad(distance, [(0, 0)] * (mask.ndim - 2) + [(radius, radius), (0, 0)], constant_values=far)
    near = jnp.zeros_like(mask)
    for offset in range(-radius, radius + 1):
        row = lax.slice_in_dim(padded, radius + offset, radius + offset + height, axis=mask.ndim - 2)
        near |= row <= math.isqrt(radius**2 - offset**2)
    return near


def _count(mask: jax.Array) -> jax.Array:
    return mask.sum((-2, -1), dtype=jnp.int32)
