# SPDX-License-Identifier: Apache-2.0
"""The simulated user: what it does with a clip, and the clicks and boxes it makes (sections 4 and D.2.2).

In: a key, and the true masks of the objects. Out: `Decisions`, one set for the whole batch, in arrays that enter the
step, so that a run is repeated from its keys and a recorded one is replayed; and points with their `Label`s.
"""

import dataclasses
import enum

import jax
import jax.numpy as jnp
from flax import struct

from sam2_jax.clicks import noisy_box, uniform_click
from sam2_jax.types import Label, Prompts

FIRST_POINTS = 2  # places for the points of a frame's first prompt: a box has two


class FirstPrompt(enum.IntEnum):
    """What a frame is given before the model has said anything of it."""

    NONE = 0  # the frame is tracked
    MASK = 1
    CLICK = 2
    BOX = 3


POINTS_OF_FIRST = (0, 0, 1, 2)  # how many points each of these is


@dataclasses.dataclass(frozen=True)
class SimulatedUser:
    """How the user behaves; the numbers are the paper's.

    Attributes:
        mask_probability: clips whose prompted frames are given their true masks. Never on pictures.
        box_probability: of the other prompted frames, those that are given a box; the rest are given a click.
        prompted_frames: at most so many frames are prompted at first, the first of the clip always. They see no memory.
        corrected_frames: at most so many are clicked on further, the prompted ones among them.
        clicks: on each corrected frame.
        corrects_after_masks: where masks were given, the frames that were not given one may be corrected too. In the
            paper none are.
        truth_probability: clicks that go anywhere on the object, and not where the model erred.
    """

    mask_probability: float = 0.5
    box_probability: float = 0.5
    prompted_frames: int = 2
    corrected_frames: int = 2
    clicks: int = 7
    corrects_after_masks: bool = False
    truth_probability: float = 0.1

    def __post_init__(self):
        for name in ("mask_probability", "box_probability", "truth_probability"):
            _require(self, name, 0 <= getattr(self, name) <= 1, "a probability")
        _require(self, "prompted_frames", self.prompted_frames >= 1, "at least 1")
        least = f"at least prompted_frames, {self.prompted_frames}"
        _require(self, "corrected_frames", self.corrected_frames >= self.prompted_frames, least)
        _require(self, "clicks", self.clicks >= 0, "0 or more")


def _require(user: SimulatedUser, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"SimulatedUser.{name} is {getattr(user, name)!r}; expected {expected}.")


@struct.dataclass
class Points:
    """What the user says of each object on a frame: two points of the first prompt, then the clicks.

    Attributes:
        xy: (..., B, O, 2 + clicks, 2) float32, pixels of the model input.
        labels: (..., B, O, 2 + clicks) int32, a `Label` each, `Label.PADDING` where there is no point.
    """

    xy: jax.Array
    labels: jax.Array

    def first(self) -> "Points":
        """Without the clicks."""
        is_first = jnp.arange(self.labels.shape[-1]) < FIRST_POINTS
        return self.replace(labels=jnp.where(is_first, self.labels, Label.PADDING))

    def click(self, number: jax.Array) -> tuple[jax.Array, jax.Array]:
        """One of the clicks, counted from 1: (B, O, 2) and labels (B, O)."""
        slot = FIRST_POINTS - 1 + number
        return self.xy[:, :, slot], self.labels[:, :, slot]

    def with_click(self, number: jax.Array, xy: jax.Array, labels: jax.Array) -> "Points":
        """With one of the clicks, (B, O, 2) and (B, O)."""
        slot = FIRST_POINTS - 1 + number
        return Points(self.xy.at[:, :, slot].set(xy), self.labels.at[:, :, slot].set(labels))


@struct.dataclass
class Decisions:
    """What the user will do with every clip of a batch.

    Attributes:
        first: (T,) int32, the `FirstPrompt` of each frame. A frame that is given its masks is not corrected.
        corrected: (T,) bool, the frames that get corrective clicks.
        order: (T,) int32, the frames as they are processed: the prompted ones, then the others, each in time.
        on_truth: (T, clicks) bool, the clicks that go anywhere on the object, and not where the model erred.
        points: recorded ones (T, ...), to be repeated; None where the user finds its points itself.
    """

    first: jax.Array
    corrected: jax.Array
    order: jax.Array
    on_truth: jax.Array
    points: Points | None = None


def draw_decisions(key: jax.Array, length: int, user: SimulatedUser) -> Decisions:
    """The user's decisions on clips of `length` frames. A picture, a clip of one, is clicked on or given a box."""
    masks, prompted, corrected, ranks, boxes, on_truth = jax.random.split(key, 6)
    masks = jax.random.bernoulli(masks, user.mask_probability) & (length > 1)
    prompted = jax.random.randint(prompted, (), 1, user.prompted_frames + 1)
    corrected = jax.random.randint(corrected, (), prompted, user.corrected_frames + 1)
    # The first frame and, by lot, the others: so many from the front are prompted, so many are corrected.
    others = 1 + jax.random.permutation(ranks, length - 1)
    rank = jnp.concatenate([jnp.zeros(1, jnp.int32), others.astype(jnp.int32)])
    boxes = jax.random.bernoulli(boxes, user.box_probability, (length,))
    kind = jnp.where(masks, FirstPrompt.MASK, jnp.where(boxes, FirstPrompt.BOX, FirstPrompt.CLICK))
    first = jnp.where(rank < prompted, kind, FirstPrompt.NONE).astype(jnp.int32)
    right = first == FirstPrompt.MASK if user.corrects_after_masks else masks
    return Decisions(
        first=first,
        corrected=(rank < corrected) & ~right,
        order=processing_order(first),
        on_truth=jax.random.bernoulli(on_truth, user.truth_probability, (length, user.clicks)),
    )


def processing_order(first: jax.Array) -> jax.Array:
    """The prompted frames and then the others, each in time: `FirstPrompt`s (T,) -> frames (T,) int32."""
    return jnp.argsort(first == FirstPrompt.NONE, stable=True).astype(jnp.int32)


def object_keys(key: jax.Array, clips: int, objects: int) -> jax.Array:
    """A key for each object of each clip, (B, O), so that its clicks do not depend on its company."""
    of_clips = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(clips))
    return jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(of_clips, jnp.arange(objects))


def fold_in_each(keys: jax.Array, number: jax.Array | int) -> jax.Array:
    """`jax.random.fold_in` of keys (B, O)."""
    return jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (0, None))(keys, number)


def first_points(keys: jax.Array, first: jax.Array, truth: jax.Array, clicks: int) -> Points:
    """The first prompt of a frame, with room for the clicks: a click on the object, or a box that is a little off.

    Args:
        keys: (B, O).
        first: the frame's `FirstPrompt`; without click or box there are no points.
        truth: (B, O, S, S) bool.
    """
    keys = fold_in_each(keys, 0)
    click, label = jax.vmap(jax.vmap(uniform_click))(keys, truth)
    is_box = first == FirstPrompt.BOX
    corners = jax.vmap(jax.vmap(noisy_box))(keys, truth)
    xy = jnp.where(is_box, corners, jnp.stack([click, jnp.zeros_like(click)], -2))
    of_box = jnp.array([Label.BOX_TOP_LEFT, Label.BOX_BOTTOM_RIGHT], jnp.int32)
    of_click = jnp.stack([label, jnp.full_like(label, Label.PADDING)], -1)
    labels = jnp.where(is_box, of_box, of_click)
    labels = jnp.where(is_box | (first == FirstPrompt.CLICK), labels, Label.PADDING)
    room = ((0, 0), (0, 0), (0, clicks))
    return Points(jnp.pad(xy, (*room, (0, 0))), jnp.pad(labels, room, constant_values=int(Label.PADDING)))


def corrective_click(
    keys: jax.Array, number: jax.Array, truth: jax.Array, prediction: jax.Array, on_truth: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The next click on each object of a frame.

    Args:
        keys: (B, O), the frame's.
        number: of the click, from 1.
        truth, prediction: (B, O, S, S) bool.
        on_truth: bool, whether it goes anywhere on the object.

    Returns:
        (B, O, 2) in pixels and labels (B, O).
    """
    keys = fold_in_each(keys, number)
    return jax.vmap(jax.vmap(uniform_click))(keys, truth, prediction & ~on_truth)


def as_prompts(points: Points, masks: jax.Array, has_mask: jax.Array) -> Prompts:
    """What the published prompt encoder is given: behind the points a token that is none, and without points two.

    Args:
        masks, has_mask: as of `Prompts`.
    """
    nothing = (points.labels < 0).all(-1)
    labels = points.labels.at[..., 0].set(jnp.where(nothing, Label.NOT_A_POINT, points.labels[..., 0]))
    return Prompts(
        points=jnp.pad(points.xy, ((0, 0), (0, 0), (0, 1), (0, 0))),
        labels=jnp.pad(labels, ((0, 0), (0, 0), (0, 1)), constant_values=int(Label.NOT_A_POINT)),
        masks=masks,
        has_mask=has_mask,
    )
