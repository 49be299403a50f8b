# SPDX-License-Identifier: Apache-2.0
"""The image encoder: Hiera and the feature pyramid that fuses its stages (section D.1).

In: normalised pictures (B, S, S, 3). Out: the map of `hidden_dim` channels at stride 16, and the mask decoder's
skips at strides 4 and 8.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.hiera import Hiera
from sam2_jax.model.layers import chain, conv


class Lateral(nn.Module):
    """Holds the 1 x 1 convolution of one stage's map to the common width."""

    dim: int
    dtype: jnp.dtype

    def setup(self):
        self.conv = conv(self.dim, 1, self.dtype)


class FeaturePyramid(nn.Module):
    """Strides 16 and 32 are fused from the top down; strides 4 and 8 are projected only."""

    config: SAM2Config

    def setup(self):
        # Published order: the deepest stage first.
        self.convs = [Lateral(self.config.hidden_dim, jnp.dtype(self.config.dtype)) for _ in range(4)]

    def __call__(self, maps: list[jax.Array], skips: tuple[nn.Conv, nn.Conv]) -> tuple[jax.Array, jax.Array, jax.Array]:
        stride_4, stride_8, stride_16, stride_32 = maps
        deepest, deep, fine, finest = (lateral.conv for lateral in self.convs)
        enlarged = einops.repeat(deepest(stride_32).astype(jnp.float32), "b h w c -> b (h 2) (w 2) c")
        fused = (deep(stride_16).astype(jnp.float32) + enlarged).astype(self.config.dtype)
        return chain(stride_4, finest, skips[0]), chain(stride_8, fine, skips[1]), fused


class ImageEncoder(nn.Module):
    """Pictures to the three maps that the rest of the model reads."""

    config: SAM2Config

    def setup(self):
        self.trunk = Hiera(self.config)
        self.neck = FeaturePyramid(self.config)

    def __call__(
        self, pictures: jax.Array, skips: tuple[nn.Conv, nn.Conv], train: bool = False, rematerialise: bool = False
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Encodes pictures (B, S, S, 3).

        Args:
            skips: the mask decoder's projections of strides 4 and 8, which follow the pyramid's own at once.

        Returns:
            (B, S/4, S/4, C/8), (B, S/8, S/8, C/4), (B, S/16, S/16, C).
        """
        return self.neck(self.trunk(pictures, train, rematerialise), skips)
