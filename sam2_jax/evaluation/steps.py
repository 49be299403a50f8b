# SPDX-License-Identifier: Apache-2.0
"""The compiled steps of evaluation: click on frames, carry objects over a few frames, pause where a mask is bad.

In: encoded frames, banks of one video (1, O, ...), true masks, a bit for a pixel. Out: predictions, and the bank after
them. Frames come in chunks of one length, so that a longer video compiles nothing.
"""

import functools

import jax
import jax.numpy as jnp
from flax import struct

from sam2_jax import frame_step, memory_bank
from sam2_jax.evaluation.clicking import click_and_look, iou, shown, unpack
from sam2_jax.memory_bank import EMPTY, MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.prompt_encoder import no_points
from sam2_jax.target import compiled
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
            conditioned = frame_step.condition(model, params, memory, features, frame)
            before = before[None, None]
        prediction, _ = _click(model, params, conditioned, unpack(truth)[None, None], size, clicks, before)
        maps = frame_step.remember(model, params, features, prediction, jnp.full((1, 1), hard))
        return jax.tree.map(lambda x: x[0, 0], (prediction, maps))

    rows = (features, truth, None if memory is None else jax.tree.map(lambda x: x[0], memory), frames, before)
    return jax.tree.map(lambda x: x[None], frame_step.for_each_row(model, click, rows))


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
    size: jax.Array,
    pausing: Pausing | None = None,
) -> tuple[MemoryBank, Passed]:
    """Carries O objects over a chunk, each from the frame after its first.

    On frames before that, and on those that were prompted before, there is nothing to do and the answer is empty.

    Args:
        memory: (1, O, ...) the bank before the chunk.
        starts: (O,) int32 the first frame of each object.
        size: (2,) int32 height and width of the video.
        pausing: with it, the user clicks where a mask is bad.
    """

    def one_frame(memory, frame):
        features = jax.tree.map(lambda x: x[None], frame.features)

        def some_objects(rows):  # all, or one by one on a CPU, where skipping one saves its time
            memory, packed, start = rows
            needed = frame.real & (frame.frames > start) & ~memory_bank.is_prompted(memory, frame.frames)
            carry_on = functools.partial(_carry_objects, model, params, features, frame, unpack(packed), size, pausing)
            nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(carry_on, memory, needed)[1])
            memory, passed = jax.lax.cond(needed.any(), carry_on, lambda memory, _: (memory, nothing), memory, needed)
            return memory, jax.tree.map(lambda x: jnp.where(_like(needed, x), x, jnp.zeros_like(x)), passed)

        memory, passed = frame_step.for_each_object(model, some_objects, (memory, frame.truth[None], starts[None]))
        return memory, jax.tree.map(lambda x: x[0], passed)

    return jax.lax.scan(one_frame, memory, chunk)


def _carry_objects(
    model: SAM2, params: dict, features: FrameFeatures, frame: Chunk, truth, size, pausing, memory, needed
) -> tuple[MemoryBank, Passed]:
    """Objects (1, O, ...) on a frame (1, ...); those in `needed` (1, O) are remembered."""
    conditioned = frame_step.condition(model, params, memory, features, frame.frames)
    final = frame_step.predict(model, params, conditioned, no_points(*needed.shape))
    fits = iou(truth, shown(final.logits, size, truth.shape[-2:]))
    paused = hard = jnp.zeros_like(needed)
    if pausing is not None:
        budget = (memory.prompted_frames > EMPTY).sum(-1) < pausing.most_frames
        paused = needed & frame.annotated & (fits < pausing.least_iou) & budget
        hard = paused & pausing.hard
        # No click is computed where nobody is asked.
        final, fits = jax.lax.cond(
            paused.any(),
            lambda tracked, fits: _where(
                paused, _click(model, params, conditioned, truth, size, pausing.clicks, tracked.logits), (tracked, fits)
            ),
            lambda tracked, fits: (tracked, fits),
            final,
            fits,
        )
    memory, maps = frame_step.commit(model, params, memory, features, final, frame.frames, paused, hard, needed)
    return memory, Passed(final, maps, jnp.where(frame.annotated, fits, jnp.nan), paused)


def _like(which: jax.Array, other: jax.Array) -> jax.Array:
    """(B, O) bool with the axes that another array (B, O, ...) has behind those."""
    return which.reshape(*which.shape, *(1,) * (other.ndim - which.ndim))


def _where(which: jax.Array, ours, others):
    return jax.tree.map(lambda a, b: jnp.where(_like(which, a), a, b), ours, others)


def _click(
    model: SAM2, params: dict, conditioned: FrameFeatures, truth: jax.Array, size: jax.Array, clicks: int, before
) -> tuple[MaskPrediction, jax.Array]:
    """Predictions (1, O, ...) of objects, true masks (1, O, H, W), after some clicks, and the IoUs after the last."""

    def predict(prompts, _):
        return frame_step.predict(model, params, conditioned, prompts)

    prediction, ious = click_and_look(predict, truth, size[None], model.config.image_size, clicks, before=before)
    return prediction, ious[-1]
