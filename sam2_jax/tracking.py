# SPDX-License-Identifier: Apache-2.0
"""The streaming loop: one frame at a time, read the memory, predict, remember (section 4).

In: encoded frames, prompts and a `MemoryBank`. Out: a `MaskPrediction` for each frame and the bank after it. Objects
are an axis, not a loop; videos are one more.
"""

import functools

import einops
import jax
import jax.numpy as jnp

from sam2_jax import frame_step, memory_bank
from sam2_jax.frame_step import for_each_object
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.prompt_encoder import no_points
from sam2_jax.segmentation import encode_frames
from sam2_jax.target import compiled
from sam2_jax.types import ABSENT, FrameFeatures, MaskPrediction, Prompts

# What is predicted on frames that a video does not have.
_PAST_END = MaskPrediction(logits=ABSENT, iou=0.0, object_score=ABSENT, pointer=0.0)


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
    direction: jax.Array | int = 1,
    prompts: Prompts | None = None,
) -> MaskPrediction:
    """Masks of O objects of B videos on a frame, from what is remembered of them and, if any, new prompts.

    Args:
        memory: the bank before the frame.
        features: the frames, (B, ...).
        frame: int32 index of the frame.
        direction: 1 forward in time, -1 backward.
        prompts: corrective clicks on the frame.
    """
    if prompts is None:
        prompts = no_points(*memory.recent_frames.shape[:2])

    def step_of(memory_and_prompts) -> MaskPrediction:
        memory, prompts = memory_and_prompts
        return frame_step.predict(
            model, params, frame_step.condition(model, params, memory, features, frame, direction), prompts
        )

    return for_each_object(model, step_of, (memory, prompts))


@compiled
def remember(
    model: SAM2, params: dict, features: FrameFeatures, prediction: MaskPrediction, prompted: jax.Array
) -> jax.Array:
    """Spatial memories (B, O, h, w, memory channels) of frames and their masks; `prompted` (B, O) bool."""

    def remember_each(prediction_and_prompted) -> jax.Array:
        return frame_step.remember(model, params, features, *prediction_and_prompted)

    return for_each_object(model, remember_each, (prediction, prompted))


@compiled
def track_frame(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array,
    direction: jax.Array | int = 1,
) -> tuple[MemoryBank, MaskPrediction]:
    """Carries O objects of B videos to a frame and remembers it; arguments as of `predict_with_memory`.

    An object that was prompted on this very frame keeps the memory it has of it.
    """
    return carry_objects(model, params, memory, features, frame, direction)[:2]


def carry_objects(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array,
    direction: jax.Array | int = 1,
) -> tuple[MemoryBank, MaskPrediction, jax.Array]:
    """As `track_frame`, inside of other programs; and the frame's spatial memories (B, O, h, w, memory channels)."""

    def one_frame(memory: MemoryBank) -> tuple[MemoryBank, MaskPrediction, jax.Array]:
        nobody = jnp.zeros(memory.recent_frames.shape[:2], bool)
        conditioned = frame_step.condition(model, params, memory, features, frame, direction)
        prediction = frame_step.predict(model, params, conditioned, no_points(*nobody.shape))
        memory, maps = frame_step.commit(model, params, memory, features, prediction, frame, nobody, nobody)
        return memory, prediction, maps

    return for_each_object(model, one_frame, memory)


@functools.partial(compiled, static_argnames=("frames_at_once",))
def segment_video(
    model: SAM2,
    params: dict,
    frames: jax.Array,
    prompts: Prompts | None = None,
    masks: jax.Array | None = None,
    frames_at_once: int = 4,
    lengths: jax.Array | None = None,
) -> MaskPrediction:
    """Carries O objects from the first frame through each of B videos, in one compiled scan.

    Frames that are sharded by their first axis over the devices of a mesh are tracked where they are.

    Args:
        frames: (B, T, S, S, 3) RGB in 0..255, at the model's input size.
        prompts: what the user says on the first frame; or
        masks: (B, O, S, S), 0 to 1, the objects on the first frame.
        frames_at_once: how many frames of each video are encoded together.
        lengths: (B,) int32, how many frames of each video are real; all T without it. `sam2_jax.pad_videos` pads
            videos so. Other lengths compile nothing new, and a video's masks are those that it gets alone.

    Returns:
        Predictions with T as their second axis: logits are (B, T, O, S/4, S/4). On frames past a video's end there is
        no object: `logits` and `object_score` are `ABSENT`, `iou` and `pointer` zero.

    Raises:
        ValueError: `lengths` has another shape.
    """
    videos, length = frames.shape[:2]
    if lengths is None:
        lengths = jnp.full(videos, length, jnp.int32)
    if lengths.shape != (videos,):
        raise ValueError(f"lengths has the shape {lengths.shape}; expected ({videos},), a number for each video.")
    first = encode_frames(model, params, frames[:, 0])
    given = (predict_first, prompts) if masks is None else (take_masks, masks)
    start = given[0](model, params, first, given[1])
    objects = start.iou.shape[1]
    every = jnp.ones((videos, objects), bool)
    memory = memory_bank.empty_memory(model.config, videos, objects, length=lengths)
    maps = remember(model, params, first, start, every)
    memory = memory_bank.write(model.config, memory, 0, maps, start.pointer, prompted=every)

    def carry_on(memory, features_and_index):
        features, index = features_and_index
        return track_frame(model, params, memory, features, index)

    def carry_over_chunk(memory, indices):
        # A slice of the clip, which is not copied for it; TPUs copy what they gather single frames from. The last
        # chunk repeats the last frame.
        size = min(frames_at_once, length)
        offset = jnp.minimum(indices[0], length - size)
        chunk = jax.lax.dynamic_slice_in_dim(frames, offset, size, axis=1)
        chunk = jnp.take(chunk, indices - offset, axis=1, mode="clip")
        # Videos stay outermost, so that each device encodes the frames of its own.
        features = encode_frames(model, params, einops.rearrange(chunk, "b t ... -> (b t) ..."))
        features = jax.tree.map(lambda x: einops.rearrange(x, "(b t) ... -> t b ...", b=videos), features)
        return jax.lax.scan(carry_on, memory, (features, indices))

    chunks = -(-(length - 1) // frames_at_once)
    order = 1 + jnp.arange(chunks * frames_at_once).reshape(chunks, frames_at_once)
    _, later = jax.lax.scan(carry_over_chunk, memory, order)
    real = jnp.arange(length) < lengths[:, None]

    def joined(first: jax.Array, later: jax.Array, past_end: float) -> jax.Array:
        later = einops.rearrange(later, "n t b ... -> b (n t) ...")[:, : length - 1]
        predicted = jnp.concatenate([first[:, None], later], axis=1)
        return jnp.where(real.reshape(*real.shape, *(1,) * (predicted.ndim - 2)), predicted, past_end)

    return jax.tree.map(joined, start, later, _PAST_END)
