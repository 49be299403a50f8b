# SPDX-License-Identifier: Apache-2.0
"""Every program that users run, traced from shapes: nothing is computed, and the devices need not be here."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, Sharding

from data.config import DataConfig, Entry
from data.examples import empty_batch
from data.sampling import ClipRule
from sam2_jax import memory_bank, tracking
from sam2_jax.config import published_config
from sam2_jax.evaluation import images, steps
from sam2_jax.model import SAM2, abstract_params
from sam2_jax.segmentation import decode_image, encode_frames, segment_image
from sam2_jax.target import compiling_for
from sam2_jax.types import Prompts
from scripts.compilations.programs import train_steps
from train.config import TrainConfig
from train.losses import clip_loss
from train.prompts import SimulatedUser, draw_decisions
from train.sharding import batch_sharding, replicated

# Shapes of attention calls do not depend on how many blocks or layers there are, so that one of each kind will do.
FEW_LAYERS = dict(stages=(1, 1, 2, 1), global_attention_blocks=(3,), memory_attention_layers=1)
Programs = dict[str, Callable[[], jax.stages.Traced]]


def thin_model(size: str, **changes) -> SAM2:
    """A published model with few layers."""
    return SAM2(published_config(f"sam2.1_hiera_{size}", **FEW_LAYERS, **changes))


def programs(
    model: SAM2, rows: Sharding | None = None, whole: Sharding | None = None, videos: int = 2, objects: int = 3
) -> Programs:
    """What predictors and batch inference run, by name.

    Args:
        rows: where arrays of many videos or images are; `whole`: where parameters are.
    """
    size = model.config.image_size

    def array(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct((videos, *shape), dtype, sharding=rows)

    def on_rows(tree):
        return jax.tree.map(lambda x: array(*x.shape[1:], dtype=x.dtype), tree)

    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), abstract_params(model))
    frames = array(size, size, 3, dtype=jnp.uint8)
    prompts = Prompts(array(objects, 2, 2), array(objects, 2, dtype=jnp.int32))
    features = on_rows(jax.eval_shape(functools.partial(encode_frames, model), params, frames))
    bank = on_rows(jax.eval_shape(lambda: memory_bank.empty_memory(model.config, videos, objects)))
    prediction = jax.eval_shape(functools.partial(tracking.predict_first, model), params, features, prompts)
    prediction = on_rows(prediction)
    prompted = array(objects, dtype=bool)
    return {
        "encode_frames": lambda: encode_frames.trace(model, params, frames),
        "decode_image": lambda: decode_image.trace(model, params, features, prompts, False),
        "segment_image": lambda: segment_image.trace(model, params, frames, prompts, True),
        "predict_first": lambda: tracking.predict_first.trace(model, params, features, prompts),
        "track_frame": lambda: tracking.track_frame.trace(model, params, bank, features, 3),
        "remember": lambda: tracking.remember.trace(model, params, features, prediction, prompted),
        "segment_video": lambda: tracking.segment_video.trace(
            model, params, array(3, size, size, 3, dtype=jnp.uint8), prompts, lengths=array(dtype=jnp.int32)
        ),
    }


def evaluation_programs(model: SAM2, device: Sharding | None = None, objects: int = 3, frames: int = 2) -> Programs:
    """What `scripts.evaluate` runs on one device: clicks on images, clicks on frames, and a pass over a few frames."""
    size = model.config.image_size

    def array(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=device)

    def here(tree):
        return jax.tree.map(lambda x: array(*x.shape, dtype=x.dtype), tree)

    params = here(abstract_params(model))
    images_shape = array(max(objects, frames), size, size, 3, dtype=jnp.uint8)
    features = here(jax.eval_shape(functools.partial(encode_frames, model), params, images_shape))
    some = lambda count: jax.tree.map(lambda x: array(count, *x.shape[1:], dtype=x.dtype), features)  # noqa: E731
    bank = here(jax.eval_shape(lambda: memory_bank.empty_memory(model.config, 1, objects)))
    truth, video_size = array(objects, 48, 8, dtype=jnp.uint8), array(2, dtype=jnp.int32)
    numbers = array(objects, dtype=jnp.int32)
    chunk = steps.Chunk(
        features=some(frames),
        frames=array(frames, dtype=jnp.int32),
        real=array(frames, dtype=bool),
        annotated=array(frames, dtype=bool),
        truth=array(frames, *truth.shape, dtype=jnp.uint8),
    )
    return {
        "click_on_images": lambda: images._click_on_pictures.trace(
            model, params, features, numbers, truth, video_size, clicks=2
        ),
        "click_on_frames": lambda: steps.click_on_frames.trace(
            model,
            params,
            some(objects),
            truth,
            video_size,
            clicks=2,
            hard=True,
            memory=bank,
            frames=numbers,
            before=array(objects, model.config.mask_size, model.config.mask_size),
        ),
        "carry": lambda: steps.carry.trace(
            model, params, bank, chunk, numbers, video_size, steps.Pausing(0.75, 8, 2, True)
        ),
    }


def train_config(model: SAM2, clips: int) -> TrainConfig:
    """A training on clips of 3 frames with 2 objects."""
    entry = Entry("no images", batch_size=clips, clip=ClipRule(frames=3, objects=2))
    data = DataConfig((entry,), image_size=model.config.image_size)
    return TrainConfig(model=model.config, data=data, steps=10, user=SimulatedUser(clicks=1))


def train_step(model: SAM2, clips: int, mesh: Mesh) -> jax.stages.Traced:
    """The step of that training, backward pass and optimizer included."""
    (program,) = train_steps(train_config(model, clips), mesh)
    return program.traced


def train_loss(model: SAM2, clips: int, mesh: Mesh) -> jax.stages.Traced:
    """The forward pass of that training: the loss of a batch."""
    config = train_config(model, clips)

    def placed(tree, sharding):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    params = placed(abstract_params(model), replicated(mesh))
    batch = placed(jax.eval_shape(lambda: empty_batch(config.data.entries[0], model.config.image_size, clips)), None)
    batch = placed({name: batch[name] for name in ("frames", "masks", "valid", "colour")}, batch_sharding(mesh))

    def loss(params, batch):
        key = jax.random.key(0)
        decisions = draw_decisions(key, 3, config.user)
        with compiling_for(mesh=mesh.abstract_mesh):
            return clip_loss(model, params, batch, decisions, key, config.user, config.loss, config.rematerialise)

    return jax.jit(loss).trace(params, batch)
