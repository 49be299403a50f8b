# SPDX-License-Identifier: Apache-2.0
"""The programs that a config makes, traced from shapes alone: no parameter and no picture is in memory.

In: a `TrainConfig` and a mesh, whose devices need not be here. Out: `Program`, to be compiled.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from data.config import Entry
from data.examples import empty_batch
from sam2_jax.model import SAM2, abstract_params
from sam2_jax.target import Target, compiling_for
from sam2_jax.tracking import segment_video
from sam2_jax.types import Prompts
from train.config import TrainConfig
from train.evaluation import track
from train.sharding import batch_sharding, parameter_shardings, replicated
from train.state import abstract_state
from train.step import make_train_step

# What the step takes of a batch, as the loop does.
_ARRAYS = ("frames", "masks", "valid", "colour")
_BOX = 2  # points of a prompt on the first frame of a video: as many as a box has


@dataclasses.dataclass(frozen=True)
class Program:
    """Something to compile.

    Attributes:
        name: what it is, in a line.
        traced: it itself.
        taken: of loops in each other, by how often they run: the share of the innermost one's rounds that take the
            dearest way, where ways part in it. All do in other loops.
    """

    name: str
    traced: jax.stages.Traced
    taken: Mapping[tuple[int, ...], float]


def check_attention(config: TrainConfig) -> None:
    """Raises `ValueError` where the attention is one that TPUs do not have."""
    with compiling_for(Target("tpu")):
        SAM2(config.model)


def with_entry(config: TrainConfig, number: int) -> TrainConfig:
    """The config with one entry of its mixture alone.

    Raises:
        ValueError: it has no such entry.
    """
    entries = config.data.entries
    if not 0 <= number < len(entries):
        raise ValueError(f"The mixture has entries 0 to {len(entries) - 1}, but --entry {number} came.")
    return dataclasses.replace(config, data=dataclasses.replace(config.data, entries=(entries[number],)))


def with_clips(config: TrainConfig, clips: int) -> TrainConfig:
    """The config with batches of so many clips from every entry of its mixture."""
    entries = tuple(dataclasses.replace(entry, batch_size=clips) for entry in config.data.entries)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, entries=entries))


def train_steps(config: TrainConfig, mesh: Mesh) -> list[Program]:
    """The step of a training, once for each shape of batch that its mixture has."""
    with compiling_for(mesh=mesh.abstract_mesh):
        model = SAM2(config.model)
    step = make_train_step(model, config, mesh)
    state = abstract_state(model, config.optimizer, config.steps)
    state = jax.tree.map(_placed, state, parameter_shardings(mesh, state))
    seed = jax.ShapeDtypeStruct((), jnp.uint32, sharding=replicated(mesh))
    shapes = {}
    for number, entry in enumerate(config.data.entries):
        shapes.setdefault((entry.batch_size, entry.clip.frames, entry.clip.objects), []).append(number)
    return [
        Program(
            name=f"train step: {clips} clips of {frames} frames with {objects} objects (data.entries."
            f"{', '.join(map(str, numbers))})",
            traced=step.trace(state, _batch(config, config.data.entries[numbers[0]], mesh), seed),
            taken=_clicked(config, frames),
        )
        for (clips, frames, objects), numbers in shapes.items()
    ]


def _batch(config: TrainConfig, entry: Entry, mesh: Mesh) -> dict:
    one, sharding = empty_batch(entry, config.data.image_size, 1), batch_sharding(mesh)

    def abstract(x):
        return jax.ShapeDtypeStruct((entry.batch_size, *x.shape[1:]), x.dtype, sharding=sharding)

    return jax.tree.map(abstract, {name: one[name] for name in _ARRAYS})


def _clicked(config: TrainConfig, frames: int) -> dict[tuple[int, ...], float]:
    """Every frame is asked for once; clicks are on a few of them."""
    steps, corrected = 1 + config.user.clicks, min(frames, config.user.corrected_frames)
    return {(frames, steps): (frames + corrected * config.user.clicks) / (frames * steps)}


def video(config: TrainConfig, mesh: Mesh, frames: int, objects: int) -> Program:
    """`segment_video` of one video for each device.

    Raises:
        ValueError: a video has no frames or no objects.
    """
    if min(frames, objects) < 1:
        raise ValueError(f"A video has frames and objects, but {frames} frames and {objects} objects came.")
    with compiling_for(mesh=mesh.abstract_mesh):
        model = SAM2(config.model)
    side, videos = config.model.image_size, mesh.size

    def divided(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct((videos, *shape), dtype, sharding=batch_sharding(mesh))

    params = jax.tree.map(lambda x: _placed(x, replicated(mesh)), abstract_params(model))
    prompts = Prompts(points=divided(objects, _BOX, 2), labels=divided(objects, _BOX, dtype=jnp.int32))
    traced = segment_video.trace(model, params, divided(frames, side, side, 3, dtype=jnp.uint8), prompts)
    return Program(f"segment_video: {videos} videos of {frames} frames with {objects} objects", traced, {})


def evaluation(config: TrainConfig, mesh: Mesh) -> Program:
    """One round of the evaluation during a training: a clip on each device.

    Raises:
        ValueError: the config has no evaluation.
    """
    held_out, side, clips = config.evaluation, config.model.image_size, mesh.size
    if held_out is None:
        raise ValueError("The config has no evaluation (evaluation=None), but --task evaluation came.")
    with compiling_for(mesh=mesh.abstract_mesh):
        model = SAM2(config.model)
    sharding = batch_sharding(mesh)
    params = abstract_params(model)
    params = jax.tree.map(_placed, params, parameter_shardings(mesh, params))
    frames = jax.ShapeDtypeStruct((clips, held_out.frames, side, side, 3), jnp.uint8, sharding=sharding)
    masks = jax.ShapeDtypeStruct((clips, held_out.frames, held_out.objects, side, side), bool, sharding=sharding)
    valid = jax.ShapeDtypeStruct((clips, held_out.objects), bool, sharding=sharding)
    return Program(
        f"evaluation: {clips} clips of {held_out.frames} frames with {held_out.objects} objects",
        track.trace(model, params, held_out.prompt, mesh, frames, masks, valid),
        {},
    )


def _placed(x: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
