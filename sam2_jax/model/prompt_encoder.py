# SPDX-License-Identifier: Apache-2.0
"""The prompt encoder: clicks and boxes to tokens, masks to a map (section 4, "Prompt encoder and mask decoder").

In: `Prompts`. Out: sparse tokens (B, O, P, C), which of them count, and a dense map that is added to the frame's.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.layers import Embedding, LayerNorm, conv, gelu
from sam2_jax.model.position import RandomFourierCode
from sam2_jax.types import Label, Prompts

_MASK_CHANNELS = 16


def no_points(videos: int, objects: int) -> Prompts:
    """The prompt of a frame that has none: two tokens that are no point, as published."""
    labels = jnp.full((videos, objects, 2), Label.NOT_A_POINT, jnp.int32)
    return Prompts(points=jnp.zeros((videos, objects, 2, 2)), labels=labels)


class PromptEncoder(nn.Module):
    """What the user says, in the decoder's terms."""

    config: SAM2Config

    def setup(self):
        dim, dtype = self.config.hidden_dim, jnp.dtype(self.config.dtype)
        self.pe_layer = RandomFourierCode(dim)
        # One each for background, foreground, a box's top left and its bottom right corner.
        self.point_embeddings = [Embedding(1, dim) for _ in range(4)]
        self.not_a_point_embed = Embedding(1, dim)
        self.no_mask_embed = Embedding(1, dim)
        self.mask_downscaling = [
            conv(_MASK_CHANNELS // 4, 2, dtype, stride=2),
            LayerNorm(1e-6, dtype),
            gelu,
            conv(_MASK_CHANNELS, 2, dtype, stride=2),
            LayerNorm(1e-6, dtype),
            gelu,
            conv(dim, 1, dtype),
        ]

    def __call__(self, prompts: Prompts) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Prompts -> sparse (B, O, P, C), valid (B, O, P) bool, dense (B, O, S/16, S/16, C) or broadcastable to it."""
        sparse = self._embed_points(prompts.points, prompts.labels).astype(self.config.dtype)
        no_mask = self.no_mask_embed().reshape(1, 1, 1, 1, -1).astype(self.config.dtype)
        if prompts.masks is None:
            return sparse, prompts.labels != Label.PADDING, no_mask
        dense = prompts.masks[..., None].astype(self.config.dtype)
        for layer in self.mask_downscaling:
            dense = layer(dense)
        if prompts.has_mask is not None:
            dense = jnp.where(prompts.has_mask[..., None, None, None], dense, no_mask)
        return sparse, prompts.labels != Label.PADDING, dense

    def _embed_points(self, points: jax.Array, labels: jax.Array) -> jax.Array:
        # A click on a pixel means its centre.
        code = self.pe_layer((points + 0.5) / self.config.image_size)
        kinds = jnp.concatenate([embedding() for embedding in self.point_embeddings])
        named = code + kinds[jnp.clip(labels, 0, 3)]
        return jnp.where((labels >= 0)[..., None], named, self.not_a_point_embed())

    def map_code(self) -> jax.Array:
        """The position code of the frame's tokens: (S/16, S/16, C)."""
        return self.pe_layer.of_map(self.config.embedding_size, self.config.embedding_size)
