# SPDX-License-Identifier: Apache-2.0
"""Pictures and prompts to masks: the functional core for single frames, jitted and batched.

In: pictures (B, S, S, 3) at the model's own size, and `Prompts` on each. Out: `FrameFeatures` and `ImageMasks`. Every
function takes the model, static under jit, and the parameters. Shapes alone decide what is compiled.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from sam2_jax.model import SAM2
from sam2_jax.model.mask_decoder import clear_mask, take_mask
from sam2_jax.target import compiled
from sam2_jax.types import FrameFeatures, Prompts

# The mean and deviation of ImageNet's colours, in 0..255.
COLOUR_MEAN = np.array([123.675, 116.28, 103.53], np.float32)
COLOUR_DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)


@struct.dataclass
class ImageMasks:
    """What the model says of each prompt on a picture.

    Attributes:
        logits: (B, O, M, S/4, S/4) float32 mask logits; M is 3 for ambiguous prompts and 1 for clear ones.
        ious: (B, O, M) float32 predicted intersection over union.
        object_score: (B, O) float32 logit that the object is there.
    """

    logits: jax.Array
    ious: jax.Array
    object_score: jax.Array


@compiled
def encode_frames(model: SAM2, params: dict, frames: jax.Array) -> FrameFeatures:
    """Encodes frames once, for all objects and all clicks.

    Args:
        model, params: as `sam2_jax.load` returns them.
        frames: (B, S, S, 3) RGB in 0..255, uint8 or float32, at the model's input size.

    Raises:
        ValueError: the frames are of another size.
    """
    size = model.config.image_size
    if frames.ndim != 4 or frames.shape[1:] != (size, size, 3):
        raise ValueError(f"frames have the shape {frames.shape}; expected (B, {size}, {size}, 3) for this model.")
    return model.apply({"params": params}, normalise(frames), method="encode_frames")


def normalise(frames: jax.Array) -> jax.Array:
    """RGB in 0..255, (..., 3), as the network takes it: float32."""
    return (frames.astype(jnp.float32) - COLOUR_MEAN) / COLOUR_DEVIATION


@functools.partial(compiled, static_argnames=("multimask",))
def decode_image(
    model: SAM2, params: dict, features: FrameFeatures, prompts: Prompts, multimask: bool = False
) -> ImageMasks:
    """Masks of O prompts on each of B encoded pictures.

    Args:
        features: as `encode_frames` gives them.
        prompts: one object each; a row of `Label.PADDING` points and no mask is allowed and means nothing.
        multimask: three masks for an ambiguous prompt, such as one click; else the one for a clear prompt, which
            yields to the best of the three where it is unstable.
    """

    def decode(module: SAM2, features: FrameFeatures, prompts: Prompts):
        return module.decode(module.without_memory(features), prompts)

    decoded = model.apply({"params": params}, features, prompts, method=decode)
    if multimask:
        return ImageMasks(decoded.logits[:, :, 1:], decoded.ious[:, :, 1:], decoded.object_score)
    index = clear_mask(decoded)
    return ImageMasks(
        take_mask(decoded.logits, index)[:, :, None], take_mask(decoded.ious, index)[:, :, None], decoded.object_score
    )


@functools.partial(compiled, static_argnames=("multimask",))
def segment_image(
    model: SAM2, params: dict, frames: jax.Array, prompts: Prompts, multimask: bool = False
) -> ImageMasks:
    """`encode_frames` and `decode_image` in one compiled step: B pictures with O prompts on each."""
    return decode_image(model, params, encode_frames(model, params, frames), prompts, multimask)
