# SPDX-License-Identifier: Apache-2.0
"""One frame (Figure 3): condition it on what is remembered, predict, commit the prediction to memory.

In: encoded frames, a `MemoryBank`, prompts. Out: a `MaskPrediction`, and the bank after it. The scan over a video,
sessions, evaluation and training call these three, and put their clicks between.
"""

import einops
import jax

from sam2_jax import memory_bank
from sam2_jax.memory_bank import MemoryBank
from sam2_jax.model import SAM2
from sam2_jax.model.attention import use_cpu_tiling
from sam2_jax.types import FrameFeatures, MaskPrediction, Prompts


def condition(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    frame: jax.Array | int,
    direction: jax.Array | int = 1,
    dropout: jax.Array | None = None,
) -> FrameFeatures:
    """Frames as they look to O objects that are remembered: the embedding becomes (B, O, h, w, C).

    Args:
        memory: (B, O, ...) what is remembered before the frames.
        features: (B, ...).
        frame: int32 index of the frame; (B, 1) where it is another for each video.
        direction: 1 where tracking goes forward in time, -1 where it goes back; (B, 1) likewise.
        dropout: in training, the key of what memory attention drops.
    """
    seen = memory_bank.read(model.config, memory, frame, direction)
    rngs = None if dropout is None else {"dropout": dropout}
    return model.apply({"params": params}, features, seen, rngs is not None, method="with_memory", rngs=rngs)


def predict(model: SAM2, params: dict, conditioned: FrameFeatures, prompts: Prompts) -> MaskPrediction:
    """Masks of O objects on B frames; `conditioned` by what is remembered, or `without_memory`."""
    return model.apply({"params": params}, conditioned, prompts, method="predict")


def commit(
    model: SAM2,
    params: dict,
    memory: MemoryBank,
    features: FrameFeatures,
    prediction: MaskPrediction,
    frame: jax.Array | int,
    prompted: jax.Array,
    hard: jax.Array,
    objects: jax.Array | None = None,
) -> tuple[MemoryBank, jax.Array]:
    """The bank with the prediction (B, O, ...) in it, and the spatial memories (B, O, h, w, memory channels).

    Args:
        features: (B, ...), as they were before any memory.
        frame: int32 index of the frame; (B, O) or (B, 1) where there are several.
        prompted: (B, O) bool, the objects that were prompted on the frame; they are remembered apart.
        hard: (B, O) bool, the objects whose mask is remembered as a hard one, as a user has seen it.
        objects: (B, O) bool, the objects that are to remember the frame; all without it.
    """
    maps = remember(model, params, features, prediction, hard).astype(memory.recent_maps.dtype)
    return memory_bank.write(model.config, memory, frame, maps, prediction.pointer, prompted, objects), maps


def remember(
    model: SAM2, params: dict, features: FrameFeatures, prediction: MaskPrediction, hard: jax.Array
) -> jax.Array:
    """Spatial memories (B, O, h, w, memory channels) of predictions; arguments as of `commit`."""
    return model.apply({"params": params}, features, prediction, hard, method="remember")


def for_each_object(model: SAM2, step, arrays):
    """`step` of arrays (B, O, ...): for all objects together; or, on a CPU, one by one, as its cache is small."""
    if not use_cpu_tiling(model.config.attention):
        return step(arrays)
    one_by_one = jax.tree.map(lambda x: einops.rearrange(x, "b o ... -> o b 1 ..."), arrays)
    results = for_each_row(model, step, one_by_one)
    return jax.tree.map(lambda x: einops.rearrange(x, "o b 1 ... -> b o ..."), results)


def for_each_row(model: SAM2, step, rows):
    """`step` of each of N rows: of all together; or, on a CPU, one by one."""
    if use_cpu_tiling(model.config.attention):
        return jax.lax.map(step, rows)
    return jax.vmap(step)(rows)
