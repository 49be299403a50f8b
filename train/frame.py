# SPDX-License-Identifier: Apache-2.0
"""One frame of a clip in training: read the memory, predict, be corrected, remember (section 4, "Training").

In: the memory before the frame, its features and true masks, and what the simulated user will do. Out: the memory after
it, and what a given function says of each answer. The whole batch branches alike, on the user's decisions: a prompted
frame costs no memory attention, and one that is not corrected costs no clicks.
"""

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
from flax import struct

from sam2_jax import frame_step, memory_bank
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.mask_decoder import best_ambiguous, take_mask
from sam2_jax.model.sam2 import enlarge
from sam2_jax.types import ABSENT, FrameFeatures, MaskPrediction
from train.prompts import (
    POINTS_OF_FIRST,
    Decisions,
    FirstPrompt,
    Points,
    SimulatedUser,
    as_prompts,
    corrective_click,
    first_points,
    fold_in_each,
)


@dataclasses.dataclass(frozen=True)
class Rematerialise:
    """What the backward pass makes anew, to save memory, instead of keeping it from the forward pass.

    Attributes:
        encoder: the inside of each block of the image encoder.
        memory: memory attention and the memory encoder, of each frame.
        decoder: the mask decoder, of each step.
    """

    encoder: bool = True
    memory: bool = True
    decoder: bool = True


class Kind(enum.IntEnum):
    """What an answer is to be held against."""

    AMBIGUOUS = 0  # after no point or one: three masks, the best of which counts
    CLEAR = 1  # after more: one mask
    GIVEN = 2  # the user gave the mask, and it is the answer


@struct.dataclass
class Answer:
    """All that the model says at one step of the O objects on a frame of each of B clips.

    Attributes:
        kind: int32, the `Kind` of the whole batch's answers.
        logits: (B, O, 4, S/4, S/4) float32; `ABSENT` where the object is taken not to be in the frame.
        ious: (B, O, 4) float32 predicted intersection over union of each mask with the object.
        object_score: (B, O) float32 logit that the object is in the frame.
    """

    kind: jax.Array
    logits: jax.Array
    ious: jax.Array
    object_score: jax.Array


@struct.dataclass
class Belief:
    """What goes on from an answer, to the next click and at last into the memory.

    Attributes:
        logits: (B, O, S/4, S/4) float32 of the one mask that is believed.
        token: (B, O, C) the output token that it was made from.
        object_score: (B, O) float32 logit that the object is in the frame.
    """

    logits: jax.Array
    token: jax.Array
    object_score: jax.Array


@dataclasses.dataclass(frozen=True)
class Setting:
    """What stays the same from frame to frame.

    Attributes:
        measure: what is to be said of an answer, given the true masks (B, O, S, S) bool: a tree of arrays.
        drop_key: of what memory attention drops.
        click_keys: (B, O).
    """

    model: SAM2
    params: dict
    user: SimulatedUser
    measure: Callable[[Answer, jax.Array], Any]
    rematerialise: Rematerialise
    drop_key: jax.Array
    click_keys: jax.Array

    def apply(self, method: Callable, *args: Any, dropout: jax.Array | None = None) -> Any:
        """Calls a method of the network; `dropout` is the key of what it drops."""
        rngs = None if dropout is None else {"dropout": dropout}
        return self.model.apply({"params": self.params}, *args, method=method, rngs=rngs)


@struct.dataclass
class Frame:
    """One frame of every clip.

    Attributes:
        index: int32, which it is.
        features: (B, ...).
        truth: (B, O, S, S) bool.
        plan: the user's `Decisions` on it, without their axis T.
    """

    index: jax.Array
    features: FrameFeatures
    truth: jax.Array
    plan: Decisions


def run_frame(setting: Setting, memory: MemoryBank | None, frame: Frame) -> tuple[MemoryBank | None, Any, Points]:
    """What is remembered after the frame, the measures (1 + clicks, ...) of its steps, and the points that were given.

    Args:
        memory: what is remembered before it; None for a picture, where there is nothing to remember.
    """
    plan, keys = frame.plan, fold_in_each(setting.click_keys, frame.index)
    if plan.points is None:
        points = first_points(keys, plan.first, frame.truth, setting.user.clicks)
    else:
        points = plan.points.first()
    conditioned = frame.features.replace(embedding=_condition(setting, memory, frame))
    belief = _first_belief(setting, memory, frame)

    def answer(belief, points, number):
        now = conditioned, belief, points, number
        ask = functools.partial(_answer, setting, frame)
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(ask, *now)[1])
        return jax.lax.cond(plan.corrected | (number == 0), ask, lambda *now: (belief, nothing), *now)

    # Otherwise the residuals of an answer would be kept for every step, also for those that do not happen.
    answer = jax.checkpoint(answer) if setting.rematerialise.decoder else answer

    def step(state, now):
        belief, points = state
        number, on_truth = now
        click = functools.partial(_click, frame, keys, number, on_truth)
        points = jax.lax.cond(plan.corrected & (number > 0), click, lambda belief, points: points, belief, points)
        belief, measured = answer(belief, points, number)
        return (belief, points), measured

    steps = jnp.arange(1 + setting.user.clicks), jnp.pad(plan.on_truth, (1, 0))
    (belief, points), measured = jax.lax.scan(step, (belief, points), steps)
    if memory is not None:
        memory = _remember(setting, memory, frame, belief)
    return memory, measured, points


def _condition(setting: Setting, memory: MemoryBank | None, frame: Frame) -> jax.Array:
    """The frame's embedding as the decoder takes it: (B, O, h, w, C), or (B, h, w, C) for pictures."""
    if memory is None:
        return setting.apply(SAM2.without_memory, frame.features).embedding

    def with_memory(memory, features):
        key = jax.random.fold_in(setting.drop_key, frame.index)
        return frame_step.condition(setting.model, setting.params, memory, features, frame.index, dropout=key).embedding

    def without_memory(memory, features):
        # A given mask is the answer itself; its pointer is made from the frame as it is.
        given = frame.plan.first == FirstPrompt.MASK
        embedding = jnp.where(given, features.embedding, setting.apply(SAM2.without_memory, features).embedding)
        return einops.repeat(embedding, "b h w c -> b o h w c", o=memory.recent_frames.shape[1])

    def condition(memory, features):
        tracked = frame.plan.first == FirstPrompt.NONE
        return jax.lax.cond(tracked, with_memory, without_memory, memory, features)

    return (jax.checkpoint(condition) if setting.rematerialise.memory else condition)(memory, frame.features)


def _first_belief(setting: Setting, memory: MemoryBank | None, frame: Frame) -> Belief:
    """What is believed before the model was asked: the masks, where they are given; they prompt the first answer."""
    clips, objects = frame.truth.shape[:2]
    config = setting.model.config
    logits = jnp.zeros((clips, objects, config.mask_size, config.mask_size))
    if memory is not None:  # a picture is never given its masks
        logits = setting.apply(SAM2.shrink_masks, frame.truth).astype(logits.dtype)
    token = jnp.zeros((clips, objects, config.hidden_dim), config.dtype)
    return Belief(logits=logits, token=token, object_score=jnp.zeros((clips, objects)))


def _click(
    frame: Frame, keys: jax.Array, number: jax.Array, on_truth: jax.Array, belief: Belief, points: Points
) -> Points:
    """The points with another click where the belief is wrong.

    Args:
        keys: (B, O), the frame's.
        number: of the click, from 1.
        on_truth: bool, whether the click goes anywhere on the object.
    """
    if frame.plan.points is not None:
        return points.with_click(number, *frame.plan.points.click(number))
    prediction = enlarge(jax.lax.stop_gradient(belief.logits), frame.truth.shape[-1]) > 0
    return points.with_click(number, *corrective_click(keys, number, frame.truth, prediction, on_truth))


def _answer(
    setting: Setting, frame: Frame, conditioned: FrameFeatures, belief: Belief, points: Points, number: jax.Array
) -> tuple[Belief, Any]:
    """What the model makes of the points and of what was believed before, and the measures of it.

    Args:
        number: of the last click; 0 before the first.
    """
    first, clicked = frame.plan.first, number > 0
    given = (first == FirstPrompt.MASK) & ~clicked
    clear = jnp.array(POINTS_OF_FIRST)[first] + number > 1
    kind = jnp.where(given, Kind.GIVEN, jnp.where(clear, Kind.CLEAR, Kind.AMBIGUOUS))

    has_mask = jnp.broadcast_to(given | clicked, belief.object_score.shape)
    decoded = setting.apply(SAM2.decode, conditioned, as_prompts(points, belief.logits, has_mask))
    present = decoded.object_score > 0
    logits = jnp.where(present[..., None, None, None], decoded.logits, ABSENT)
    index = jnp.where(kind == Kind.AMBIGUOUS, best_ambiguous(decoded.ious), 0)
    belief = Belief(take_mask(logits, index), take_mask(decoded.tokens, index), decoded.object_score)
    # No array as large as the frame outlives the step.
    measure = jax.checkpoint(setting.measure)
    return belief, measure(Answer(kind, logits, decoded.ious, decoded.object_score), frame.truth)


def _remember(setting: Setting, memory: MemoryBank, frame: Frame, belief: Belief) -> MemoryBank:
    """The memory with the frame: among the prompted ones if it has had a prompt or a click."""
    model, first, truth = setting.model, frame.plan.first, frame.truth

    def encode(features, belief):
        given = first == FirstPrompt.MASK
        present = belief.object_score > 0
        in_frame = jnp.where(given, truth.any((-2, -1)), present)
        seen = MaskPrediction(
            logits=jnp.where(given, given_logits(truth), enlarge(belief.logits, truth.shape[-1])),
            iou=jnp.zeros_like(belief.object_score),
            object_score=jnp.where(in_frame, 1.0, -1.0),
            pointer=setting.apply(SAM2.object_pointer, belief.token, in_frame & present),
        )
        # Sharp masks are for inference: training remembers how sure the model was.
        soft = jnp.zeros_like(in_frame)
        return frame_step.remember(model, setting.params, features, seen, soft), seen.pointer

    encode = jax.checkpoint(encode) if setting.rematerialise.memory else encode
    maps, pointers = encode(frame.features, belief)
    prompted = jnp.broadcast_to((first != FirstPrompt.NONE) | frame.plan.corrected, belief.object_score.shape)
    return memory_bank.write(model.config, memory, frame.index, maps, pointers, prompted)


def given_logits(truth: jax.Array) -> jax.Array:
    """A mask that the user gave, (..., S, S) bool, as the model's own logits."""
    return 20 * truth.astype(jnp.float32) - 10
