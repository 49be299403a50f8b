# SPDX-License-Identifier: Apache-2.0
"""The compiled steps of evaluation: click on frames, carry objects over a few frames, pause where a mask is bad.

In: encoded frames, banks of one video (1, O, ...), true masks, a bit for a pixel. Out: predictions, and the bank after
them. Frames come in chunks of one length, so that a longer video compiles nothing.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from sam2_jax import memory_bank
from sam2_jax.evaluation.clicking import click_and_look, iou, shown, unpack
from sam2_jax.memory_bank import EMPTY, MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.attention import use_cpu_tiling
from sam2_jax.model.prompt_encoder import no_points
from sam2_jax.target import compiled
from sam2_jax.tracking import remember
from sam2_jax.types import FrameFeatures, MaskPrediction


@struct.dataclass
class Chunk:
    """C frames of one video.

    Attributes:
        features: (C, ...).
        frames: (C,) int32 their indices.
        real: (C,) bool, false for what fills the last chunk.
        annotated: (C,) bool, whether there is a truth.
        truth: (C, O, H, W / 8) uint8 true masks, padded; nothing where there is none.
    """

    features: FrameFeatures
    frames: jax.Array
    real: jax.Array
    annotated: jax.Array
    truth: jax.Array


@struct.dataclass
class Passed:
    """What a pass over C frames gave for O objects.

    Attributes:
        prediction: (C, O, ...).
        maps: (C, O, h, w, memory channels) the spatial memories.
        ious: (C, O) float32 with the truth, at the video's size; NaN where there is none.
        paused: (C, O) bool, where the user was asked.
    """

    prediction: MaskPrediction
    maps: jax.Array
    ious: jax.Array
    paused: jax.Array


@functools.partial(compiled, static_argnames=("clicks", "hard"))
def click_on_frames(
    model: SAM2,
    params: dict,
    features: FrameFeatures,
    truth: jax.Array,
    size: jax.Array,
    clicks: int,
    hard: bool,
    memory: MemoryBank | None = None,
    frames: jax.Array | None = None,
    before: jax.Array | None = None,
    horizon: jax.Array | int = 1,
) -> tuple[MaskPrediction, jax.Array]:
    """Clicks on O objects, each on a frame of its own.

    Args:
        features: (O, ...) of the frames.
        truth: (O, H, W / 8) uint8 true masks on them, padded.
        size: (2,) int32 height and width of the video.
        hard: what the user has seen is remembered as a hard mask.
        memory: (1, O, ...) the bank before the frames; None for the first ones. With it:
        frames: (O,) int32 the indices.
        before: (O, S/4, S/4) logits that the user saw there.
        horizon: as of `predict_with_memory`.

    Returns:
        Predictions (1, O, ...), and the spatial memories of them, (1, O, h, w, memory channels).
    """

    def click(row):
        features, truth, memory, frame, before = row
        features = jax.tree.map(lambda x: x[None], features)
        if memory is None:
            conditioned = model.apply({"params": params}, features, method="without_memory")
        else:
            memory = jax.tree.map(lambda x: x[None, None], memory)
            conditioned = _condition(model, params, memory, features, frame, horizon)
            before = before[None, None]
        prediction, _ = _click(model, params, conditioned, unpack(truth), size, clicks, before)
        maps = remember(model, params, features, prediction, jnp.full((1, 1), hard))
        return jax.tree.map(lambda x: x[0, 0], (prediction, maps))

    rows = (features, truth, None if memory is None else jax.tree.map(lambda x: x[0], memory), frames, before)
    return jax.tree.map(lambda x: x[None], for_each_object(model, click, rows))


@struct.dataclass
class Pausing:
    """When the user stops the video: an object's IoU is below the least, and few enough of its frames are prompted.

    Attributes:
        least_iou: float32.
        most_frames: int32.
        clicks: on each frame.
        hard: what the user has seen is remembered as a hard mask.
    """

    least_iou: jax.Array | float
    most_frames: jax.Array | int
    clicks: int = struct.field(pytree_node=False)
    hard: bool = struct.field(pytree_node=False)


@compiled
def carry(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    chunk: Chunk,
    starts: jax.Array,
    horizon: jax.Array | int,
    size: jax.Array,
    pausing: Pausing | None = None,
) -> tuple[MemoryBank, Passed]:
    """Carries O objects over a chunk, each from the frame after its first.

    On frames before that, and on those that were prompted before, there is nothing to do and the answer is empty.

    Args:
        memory: (1, O, ...) the bank before the chunk.
        starts: (O,) int32 the first frame of each object.
        horizon: as of `predict_with_memory`.
        size: (2,) int32 height and width of the video.
        pausing: with it, the user clicks where a mask is bad.
    """

    def one_frame(memory, frame):
        features = jax.tree.map(lambda x: x[None], frame.features)

        def one_object(row):
            memory, packed, start = row
            memory = jax.tree.map(lambda x: x[None, None], memory)
            prompted = (memory.prompted_frames == frame.frames).any()
            needed = frame.real & (frame.frames > start) & ~prompted
            work = functools.partial(
                _carry_object, model, params, features, memory, frame, packed, horizon, size, pausing
            )
            nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(work)[1])
            memory, passed = jax.lax.cond(needed, work, lambda: (memory, nothing))
            return jax.tree.map(lambda x: x[0, 0], memory), passed

        memory, passed = for_each_object(model, one_object, (_first(memory), frame.truth, starts))
        return jax.tree.map(lambda x: x[None], memory), passed

    return jax.lax.scan(one_frame, memory, chunk)


def _carry_object(
    model: SAM2, params: dict, features: FrameFeatures, memory: MemoryBank, frame: Chunk, packed, horizon, size, pausing
) -> tuple[MemoryBank, Passed]:
    """One object (1, 1, ...) on a frame (1, ...) that is neither its first nor prompted."""
    conditioned = _condition(model, params, memory, features, frame.frames, horizon)
    final = model.apply({"params": params}, conditioned, no_points(1, 1), method="predict")
    truth = unpack(packed)
    fits = iou(truth, shown(final.logits[0, 0], size, truth.shape))
    pause = jnp.zeros((), bool)
    if pausing is not None:
        budget = (memory.prompted_frames > EMPTY).sum() < pausing.most_frames
        pause = frame.annotated & (fits < pausing.least_iou) & budget
        tracked = final
        final, fits = jax.lax.cond(
            pause,
            lambda: _click(model, params, conditioned, truth, size, pausing.clicks, tracked.logits),
            lambda: (tracked, fits),
        )
    paused = pause[None, None]
    maps = remember(model, params, features, final, paused & (pausing is not None and pausing.hard))
    stride = model.config.memory_stride
    memory = memory_bank.write_prompted(memory, frame.frames, maps, final.pointer, paused)
    memory = memory_bank.write_recent(memory, frame.frames, maps, final.pointer, ~paused, stride)
    prediction, maps = jax.tree.map(lambda x: x[0, 0], (final, maps.astype(memory.recent_maps.dtype)))
    return memory, Passed(prediction, maps, jnp.where(frame.annotated, fits, jnp.nan), pause)


def for_each_object(model: SAM2, function, rows):
    """`function` of each of O rows: at once; or, on a CPU, one by one, as its cache is small and its branches real."""
    if use_cpu_tiling(model.config.attention):
        return jax.lax.map(function, rows)
    return jax.vmap(function)(rows)


def _condition(model: SAM2, params: dict, memory: MemoryBank, features: FrameFeatures, frame, horizon) -> FrameFeatures:
    """Frames (1, ...) as they look to an object (1, 1, ...) that is remembered."""
    config = model.config
    recollection = memory_bank.read(
        memory, frame, stride=config.memory_stride, attended_prompted_frames=config.attended_prompted_frames
    )
    recollection = recollection.replace(pointer_ages=recollection.pointer_ages / horizon)
    return model.apply({"params": params}, features, recollection, method="with_memory")


def _click(
    model: SAM2, params: dict, conditioned: FrameFeatures, truth: jax.Array, size: jax.Array, clicks: int, before
) -> tuple[MaskPrediction, jax.Array]:
    """The prediction (1, 1, ...) of one object, true mask (H, W), after some clicks, and the IoU after the last."""

    def predict(prompts, _):
        return model.apply({"params": params}, conditioned, prompts, method="predict")

    prediction, ious = click_and_look(
        predict, truth[None, None], size[None], model.config.image_size, clicks, before=before
    )
    return prediction, ious[-1, 0, 0]


def _first(tree):
    return jax.tree.map(lambda x: x[0], tree)
