# SPDX-License-Identifier: Apache-2.0
"""What a clip costs: focal and dice losses of masks, the error of predicted IoUs, cross entropy of presence (D.2.2).

In: a batch, the parameters and the simulated user's decisions. Out: the loss, one number for the global batch, and
metrics. Losses are summed over frames and steps, as published, and shared among the objects.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import struct

from sam2_jax.model import SAM2
from sam2_jax.model.sam2 import enlarge
from train.colour import jitter
from train.frame import Answer, Kind, Rematerialise, given_logits
from train.prompts import Decisions, FirstPrompt, SimulatedUser
from train.rollout import rollout

KINDS = ("focal", "dice", "iou", "occlusion")
FOCAL_ALPHA = 0.25  # the weight of the object's pixels; those of the background have the rest of 1
REMATERIALISE = Rematerialise()


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """What each kind of loss counts in the sum (Table 12)."""

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    occlusion: float = 1.0


@struct.dataclass
class StepMeasures:
    """The losses of an answer and what else is to be known of it, of each object: all (B, O) float32.

    Attributes:
        focal, dice, iou: of the mask; zero where the object is not in the frame.
        occlusion: of the object score.
        overlap: intersection over union of the believed mask and the true one.
        right: 1 where the object score is right about the object being in the frame.
    """

    focal: jax.Array
    dice: jax.Array
    iou: jax.Array
    occlusion: jax.Array
    overlap: jax.Array
    right: jax.Array


def clip_loss(
    model: SAM2,
    params: dict,
    batch: Mapping,
    decisions: Decisions,
    key: jax.Array,
    user: SimulatedUser,
    weights: LossWeights,
    rematerialise: Rematerialise = REMATERIALISE,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of a batch of clips, or of pictures, which are clips of one frame.

    The published normaliser: each process divides the sum over its objects by the mean number of objects of all
    processes, and gradients are averaged over processes. With R processes and N objects that is 1/R times the sum over
    all objects, divided by N/R: the sum over all objects divided by N, whatever device has which. (The mean is taken
    as 1 at least, which never acts: each process has an object.) Objects that are padding count in neither.

    Args:
        batch: ``frames`` (B, T, S, S, 3) RGB in 0..255, ``masks`` (B, T, O, S, S) bool, ``valid`` (B, O) bool, false
            for objects that are padding; and, if colours are to be changed, ``colour`` as `train.colour.jitter` takes
            it. The axis B is that of the global batch.
        decisions: the user's, for all clips.
        key: of the clicks, and of what the network drops.

    Returns:
        The loss, and metrics: each kind of loss, not weighted; the mean J of first and last answers on frames that
        were clicked on, and of tracked frames, over objects in the frame; and how often the object score is right. A
        metric is NaN where there was nothing to measure.
    """
    frames, masks, valid = batch["frames"], batch["masks"], batch["valid"]
    if "colour" in batch:
        frames = jitter(frames, batch["colour"])
    measure = functools.partial(measure_step, weights=weights)
    measures, _ = rollout(model, params, frames, masks, decisions, key, user, measure, rematerialise)
    of_objects = {kind: getattr(measures, kind).sum((0, 1)) for kind in KINDS}
    losses = {kind: jnp.where(valid, loss, 0).sum() / jnp.maximum(valid.sum(), 1) for kind, loss in of_objects.items()}
    loss = sum(getattr(weights, kind) * losses[kind] for kind in KINDS)
    metrics = {"loss": loss} | {f"loss/{kind}": value for kind, value in losses.items()}
    return loss, jax.lax.stop_gradient(metrics | _scores(measures, masks, valid, decisions))


def _scores(measures: StepMeasures, masks: jax.Array, valid: jax.Array, decisions: Decisions) -> dict[str, jax.Array]:
    there = valid & jnp.moveaxis(masks.any((-2, -1)), 1, 0)  # (T, B, O)
    over_objects = lambda frames: frames[:, None, None]  # noqa: E731
    clicked_on = over_objects(decisions.corrected)
    tracked = over_objects(decisions.first == FirstPrompt.NONE)
    answered = jnp.repeat(decisions.corrected[:, None], measures.right.shape[1], axis=1)
    answered = answered.at[:, 0].set(decisions.first != FirstPrompt.MASK)
    return {
        "j/first_answer": measures.overlap[:, 0].mean(where=there & clicked_on),
        "j/last_click": measures.overlap[:, -1].mean(where=there & clicked_on),
        "j/tracked": measures.overlap[:, 0].mean(where=there & tracked),
        "object_score_right": measures.right.mean(where=answered[..., None, None] & valid),
    }


def measure_step(answer: Answer, truth: jax.Array, weights: LossWeights) -> StepMeasures:
    """Holds an answer against the true masks (B, O, S, S) bool."""

    def against(logits, ious, object_score):
        return _measure(logits, ious, object_score, truth, weights)

    def ambiguous():
        return against(enlarge(answer.logits[:, :, 1:], truth.shape[-1]), answer.ious[:, :, 1:], answer.object_score)

    def clear():
        return against(enlarge(answer.logits[:, :, :1], truth.shape[-1]), answer.ious[:, :, :1], answer.object_score)

    def given():
        present = truth.any((-2, -1))
        return against(given_logits(truth)[:, :, None], jnp.ones((*present.shape, 1)), given_logits(present))

    branches = {Kind.AMBIGUOUS: ambiguous, Kind.CLEAR: clear, Kind.GIVEN: given}
    return jax.lax.switch(answer.kind, [branches[kind] for kind in Kind])


def _measure(
    logits: jax.Array, ious: jax.Array, object_score: jax.Array, truth: jax.Array, weights: LossWeights
) -> StepMeasures:
    """Of M candidates (B, O, M, S, S) the mask losses count of the one that they are lowest for, and all IoUs."""
    present = truth.any((-2, -1))
    pixels = truth[:, :, None]
    focal, dice = focal_loss(logits, pixels), dice_loss(logits, pixels)
    overlap = _overlap(logits, pixels)
    iou = jnp.abs(ious - overlap).mean(-1)
    best = jnp.argmin(weights.focal * focal + weights.dice * dice, axis=-1)
    return StepMeasures(
        focal=jnp.where(present, _take(focal, best), 0),
        dice=jnp.where(present, _take(dice, best), 0),
        iou=jnp.where(present, iou, 0),
        occlusion=jax.nn.softplus(jnp.where(present, -object_score, object_score)),
        overlap=_take(overlap, jnp.argmax(ious, axis=-1)),
        right=((object_score > 0) == present).astype(jnp.float32),
    )


def focal_loss(logits: jax.Array, truth: jax.Array) -> jax.Array:
    """Focal loss with gamma 2 (Lin et al., 2017), the mean of all pixels: (..., H, W) float32 and bool -> (...)."""
    error = jnp.where(truth, -logits, logits)
    alpha = jnp.where(truth, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    return (alpha * jnp.square(jax.nn.sigmoid(error)) * jax.nn.softplus(error)).mean((-2, -1))


def dice_loss(logits: jax.Array, truth: jax.Array) -> jax.Array:
    """Dice loss (Milletari et al., 2016), with one pixel added on both sides: (..., H, W) float32 and bool -> (...)."""
    mask = jax.nn.sigmoid(logits)
    both = (mask * truth).sum((-2, -1))
    return 1 - (2 * both + 1) / (mask.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


def _overlap(logits: jax.Array, truth: jax.Array) -> jax.Array:
    """Intersection over union of the masks, (..., H, W) float32 logits and bool -> (...)."""
    mask = logits > 0
    both, either = (mask & truth).sum((-2, -1)), (mask | truth).sum((-2, -1))
    return both / jnp.maximum(either, 1)


def _take(x: jax.Array, index: jax.Array) -> jax.Array:
    """One of the last axis: (..., M) at (...) gives (...)."""
    return jnp.take_along_axis(x, index[..., None], axis=-1)[..., 0]
