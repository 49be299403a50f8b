# SPDX-License-Identifier: Apache-2.0
"""Clips as training runs them: all frames are encoded once, then a scan takes them in the user's order (section 4).

In: frames, true masks, the simulated user's `Decisions`, and a function that measures each answer against the truth.
Out: what that function said of every step, and the points that were given.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sam2_jax import memory_bank
from sam2_jax.model import SAM2
from sam2_jax.segmentation import normalise
from sam2_jax.types import FrameFeatures
from train.frame import Answer, Frame, Rematerialise, Setting, run_frame
from train.prompts import Decisions, Points, SimulatedUser, object_keys


def rollout(
    model: SAM2,
    params: dict,
    frames: jax.Array,
    masks: jax.Array,
    decisions: Decisions,
    key: jax.Array,
    user: SimulatedUser,
    measure: Callable[[Answer, jax.Array], Any],
    rematerialise: Rematerialise,
) -> tuple[Any, Points]:
    """Runs B clips with O objects each; differentiable in `params`.

    Args:
        frames: (B, T, S, S, 3) RGB in 0..255, uint8 or float32.
        masks: (B, T, O, S, S) bool.
        decisions: one set for the whole batch.
        key: of the clicks, and of what the network drops.
        measure: takes an `Answer` and the true masks (B, O, S, S) of its frame, and returns a tree of arrays. It runs
            at every step, and what is large in it does not outlive the step.

    Returns:
        The measures, with the axes (T, 1 + clicks) before their own: the first answer on each frame and the one after
        each click, zeros where there was no click. The points (T, B, O, 2 + clicks) of the user, as `Decisions` take
        them to repeat them. Both are in the order of time.
    """
    clips, length, objects = masks.shape[:3]
    # Longer strides and fewer prompted frames are for inference.
    model = model.clone(config=dataclasses.replace(model.config, memory_stride=1, attended_prompted_frames=None))
    drop_frames, drop_memories, clicks = jax.random.split(key, 3)
    setting = Setting(
        model=model,
        params=params,
        user=user,
        measure=measure,
        rematerialise=rematerialise,
        drop_key=drop_memories,
        click_keys=object_keys(clicks, clips, objects),
    )
    order = decisions.order
    sequence = Frame(
        index=order,
        features=_encode(setting, jnp.take(frames, order, axis=1), drop_frames),
        truth=jnp.moveaxis(jnp.take(masks, order, axis=1), 1, 0),
        plan=jax.tree.map(lambda x: jnp.take(x, order, axis=0), decisions),
    )
    memory = None
    if length > 1:
        prompted = min(length, user.corrected_frames)
        memory = memory_bank.empty_memory(
            model.config, clips, objects, prompted, model.config.dtype, length, future_pointers=True
        )

    def one_frame(memory, frame):
        memory, measured, points = run_frame(setting, memory, frame)
        return memory, (measured, points)

    _, told = jax.lax.scan(one_frame, memory, sequence)
    return jax.tree.map(lambda x: x[jnp.argsort(order)], told)


def _encode(setting: Setting, frames: jax.Array, key: jax.Array) -> FrameFeatures:
    """Frames (B, T, S, S, 3) -> their features, (T, B, ...)."""
    clips, length = frames.shape[:2]
    pictures = normalise(frames).reshape(clips * length, *frames.shape[2:])
    features = setting.apply(SAM2.encode_frames, pictures, True, setting.rematerialise.encoder, dropout=key)
    return jax.tree.map(lambda x: jnp.moveaxis(x.reshape(clips, length, *x.shape[1:]), 1, 0), features)
