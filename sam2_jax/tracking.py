# SPDX-License-Identifier: Apache-2.0
"""The streaming loop: one frame at a time, read the memory, predict, remember (section 4).

In: encoded frames, prompts and a `MemoryBank`. Out: a `MaskPrediction` for each frame and the bank after it. Objects
are an axis, not a loop; videos are one more.
"""

import functools

import jax
import jax.numpy as jnp

from sam2_jax import memory_bank
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.prompt_encoder import no_points
from sam2_jax.types import FrameFeatures, MaskPrediction, Prompts


@functools.partial(jax.jit, static_argnums=0)
def predict_first(model: SAM2, params: dict, features: FrameFeatures, prompts: Prompts) -> MaskPrediction:
    """Masks on frames that have no memory yet: the first prompts of O objects on each of B frames."""

    def predict(module: SAM2, features: FrameFeatures, prompts: Prompts) -> MaskPrediction:
        return module.predict(module.without_memory(features), prompts)

    return model.apply({"params": params}, features, prompts, method=predict)


@functools.partial(jax.jit, static_argnums=0)
def take_masks(model: SAM2, params: dict, features: FrameFeatures, masks: jax.Array) -> MaskPrediction:
    """A user's masks (B, O, S, S), 0 to 1, as predictions."""
    return model.apply({"params": params}, features, masks, method="take_as_mask")


@functools.partial(jax.jit, static_argnums=0)
def remember_prompted(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    prediction: MaskPrediction,
    frame: jax.Array,
    which: jax.Array,
) -> MemoryBank:
    """Writes a prompted frame into the bank, for the objects in `which` (B, O) bool."""
    maps = model.apply({"params": params}, features, prediction, jnp.ones_like(which), method="remember")
    return memory_bank.write_prompted(memory, frame, maps, prediction.pointer, which)


@functools.partial(jax.jit, static_argnums=0)
def track_frame(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array,
    step: jax.Array | int = 1,
    pointer_horizon: jax.Array | int | None = None,
    prompts: Prompts | None = None,
) -> tuple[MemoryBank, MaskPrediction]:
    """Carries O objects of B videos to a frame, and remembers it.

    Args:
        memory: the bank before the frame.
        features: the frames, (B, ...).
        frame: int32 index of the frame.
        step: 1 forward in time, -1 backward.
        pointer_horizon: frames that the temporal code of pointers counts as 1; the number of pointers less one, but
            no more than the frames of the video less one, as published. None for a video of unknown length.
        prompts: corrective clicks on the frame, if any.
    """
    if pointer_horizon is None:
        pointer_horizon = model.config.object_pointers - 1
    recollection = memory_bank.read(memory, frame, step)
    recollection = recollection.replace(pointer_ages=recollection.pointer_ages / pointer_horizon)
    if prompts is None:
        prompts = no_points(*memory.recent_frames.shape[:2])

    def run(module: SAM2):
        prediction = module.predict(module.with_memory(features, recollection), prompts)
        prompted = jnp.zeros(prediction.iou.shape, bool)
        return prediction, module.remember(features, prediction, prompted)

    prediction, maps = model.apply({"params": params}, method=run)
    which = ~jnp.any(memory.prompted_frames == frame, axis=-1)
    return memory_bank.write_recent(memory, frame, maps, prediction.pointer, which), prediction
