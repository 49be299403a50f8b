# SPDX-License-Identifier: Apache-2.0
"""The streaming loop: one frame at a time, read the memory, predict, remember (section 4).

In: encoded frames, prompts and a `MemoryBank`. Out: a `MaskPrediction` for each frame and the bank after it. Objects
are an axis, not a loop; videos are one more.
"""

import functools

import einops
import jax
import jax.numpy as jnp

from sam2_jax import memory_bank
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.attention import use_cpu_tiling
from sam2_jax.model.prompt_encoder import no_points
from sam2_jax.segmentation import encode_frames
from sam2_jax.target import compiled
from sam2_jax.types import FrameFeatures, MaskPrediction, Prompts


@compiled
def predict_first(model: SAM2, params: dict, features: FrameFeatures, prompts: Prompts) -> MaskPrediction:
    """Masks on frames that have no memory yet: the first prompts of O objects on each of B frames."""

    def predict(module: SAM2, features: FrameFeatures, prompts: Prompts) -> MaskPrediction:
        return module.predict(module.without_memory(features), prompts)

    return model.apply({"params": params}, features, prompts, method=predict)


@compiled
def take_masks(model: SAM2, params: dict, features: FrameFeatures, masks: jax.Array) -> MaskPrediction:
    """A user's masks (B, O, S, S), 0 to 1, as predictions."""
    return model.apply({"params": params}, features, masks, method="take_as_mask")


@compiled
def predict_with_memory(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array,
    step: jax.Array | int = 1,
    pointer_horizon: jax.Array | int | None = None,
    prompts: Prompts | None = None,
) -> MaskPrediction:
    """Masks of O objects of B videos on a frame, from what is remembered of them and, if any, new prompts.

    Args:
        memory: the bank before the frame.
        features: the frames, (B, ...).
        frame: int32 index of the frame.
        step: 1 forward in time, -1 backward.
        pointer_horizon: frames that the temporal code of pointers counts as 1; the number of pointers less one, but
            no more than the frames of the video less one, as published. None for a video of unknown length.
        prompts: corrective clicks on the frame.
    """
    if pointer_horizon is None:
        pointer_horizon = model.config.object_pointers - 1
    config = model.config
    recollection = memory_bank.read(
        memory,
        frame,
        step,
        stride=config.memory_stride,
        attended_prompted_frames=config.attended_prompted_frames,
    )
    recollection = recollection.replace(pointer_ages=recollection.pointer_ages / pointer_horizon)
    if prompts is None:
        prompts = no_points(*memory.recent_frames.shape[:2])

    def predict(recollection_and_prompts) -> MaskPrediction:
        recollection, prompts = recollection_and_prompts
        conditioned = model.apply({"params": params}, features, recollection, method="with_memory")
        return model.apply({"params": params}, conditioned, prompts, method="predict")

    return _for_each_object(model, predict, (recollection, prompts))


@compiled
def remember(
    model: SAM2, params: dict, features: FrameFeatures, prediction: MaskPrediction, prompted: jax.Array
) -> jax.Array:
    """Spatial memories (B, O, h, w, memory channels) of frames and their masks; `prompted` (B, O) bool."""

    def remember_each(prediction_and_prompted) -> jax.Array:
        return model.apply({"params": params}, features, *prediction_and_prompted, method="remember")

    return _for_each_object(model, remember_each, (prediction, prompted))


@compiled
def track_frame(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array,
    step: jax.Array | int = 1,
    pointer_horizon: jax.Array | int | None = None,
) -> tuple[MemoryBank, MaskPrediction]:
    """Carries O objects of B videos to a frame and remembers it; arguments as of `predict_with_memory`.

    An object that was prompted on this very frame keeps the memory it has of it.
    """
    prediction = predict_with_memory(model, params, memory, features, frame, step, pointer_horizon)
    maps = remember(model, params, features, prediction, jnp.zeros(prediction.iou.shape, bool))
    which = ~jnp.any(memory.prompted_frames == frame, axis=-1)
    memory = memory_bank.write_recent(memory, frame, maps, prediction.pointer, which, model.config.memory_stride)
    return memory, prediction


@functools.partial(compiled, static_argnames=("frames_at_once",))
def segment_video(
    model: SAM2,
    params: dict,
    frames: jax.Array,
    prompts: Prompts | None = None,
    masks: jax.Array | None = None,
    frames_at_once: int = 4,
) -> MaskPrediction:
    """Carries O objects from the first frame through each of B videos, in one compiled scan.

    Frames that are sharded by their first axis over the devices of a mesh are tracked where they are.

    Args:
        frames: (B, T, S, S, 3) RGB in 0..255, at the model's input size.
        prompts: what the user says on the first frame; or
        masks: (B, O, S, S), 0 to 1, the objects on the first frame.
        frames_at_once: how many frames of each video are encoded together.

    Returns:
        Predictions with T as their second axis: logits are (B, T, O, S/4, S/4).
    """
    videos, length = frames.shape[:2]
    first = encode_frames(model, params, frames[:, 0])
    given = (predict_first, prompts) if masks is None else (take_masks, masks)
    start = given[0](model, params, first, given[1])
    objects = start.iou.shape[1]
    memory = memory_bank.empty_memory(model.config, videos, objects)
    every = jnp.ones((videos, objects), bool)
    maps = remember(model, params, first, start, every)
    memory = memory_bank.write_prompted(memory, jnp.int32(0), maps, start.pointer, every)
    horizon = max(min(length, model.config.object_pointers) - 1, 1)

    def carry_on(memory, features_and_index):
        features, index = features_and_index
        return track_frame(model, params, memory, features, index, 1, horizon)

    def carry_over_chunk(memory, frames_and_indices):
        chunk, indices = frames_and_indices
        # Videos stay outermost, so that each device encodes the frames of its own.
        features = encode_frames(model, params, einops.rearrange(chunk, "b t ... -> (b t) ..."))
        features = jax.tree.map(lambda x: einops.rearrange(x, "(b t) ... -> t b ...", b=videos), features)
        return jax.lax.scan(carry_on, memory, (features, indices))

    # The last chunk is padded by repeating the final frame; the padded outputs are dropped.
    order = jnp.arange(1, 1 + -(-(length - 1) // frames_at_once) * frames_at_once)
    rest = jnp.take(frames, jnp.minimum(order, length - 1), axis=1)
    chunks = einops.rearrange(rest, "b (n t) ... -> n b t ...", t=frames_at_once)
    indices = einops.rearrange(order, "(n t) -> n t", t=frames_at_once)
    _, later = jax.lax.scan(carry_over_chunk, memory, (chunks, indices))
    return jax.tree.map(
        lambda first, later: jnp.concatenate(
            [first[:, None], einops.rearrange(later, "n t b ... -> b (n t) ...")[:, : length - 1]], axis=1
        ),
        start,
        later,
    )


def _for_each_object(model: SAM2, function, arrays):
    """`function` of arrays (B, O, ...): for all objects together; or, on a CPU, one by one, as its cache is small."""
    if not use_cpu_tiling(model.config.attention):
        return function(arrays)
    one_by_one = jax.tree.map(lambda x: einops.rearrange(x, "b o ... -> o b 1 ..."), arrays)
    results = jax.lax.map(function, one_by_one)
    return jax.tree.map(lambda x: einops.rearrange(x, "o b 1 ... -> b o ..."), results)
