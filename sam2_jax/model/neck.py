# SPDX-License-Identifier: Apache-2.0
"""The image encoder: Hiera and the feature pyramid that fuses its stages (section D.1).

In: normalised pictures (B, S, S, 3). Out: maps of `hidden_dim` channels at strides 4, 8 and 16.
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.hiera import Hiera
from sam2_jax.model.layers import conv


class Lateral(nn.Module):
    """A 1 x 1 convolution of one stage's map to the common width."""

    dim: int
    dtype: jnp.dtype

    def setup(self):
        self.conv = conv(self.dim, 1, self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.conv(x)


class FeaturePyramid(nn.Module):
    """Strides 16 and 32 are fused from the top down; strides 4 and 8 are projected only."""

    config: SAM2Config

    def setup(self):
        # Published order: the deepest stage first.
        self.convs = [Lateral(self.config.hidden_dim, jnp.dtype(self.config.dtype)) for _ in range(4)]

    def __call__(self, maps: list[jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        stride_32, stride_16, stride_8, stride_4 = [lateral(x) for lateral, x in zip(self.convs, reversed(maps))]
        enlarged = einops.repeat(stride_32.astype(jnp.float32), "b h w c -> b (h 2) (w 2) c")
        stride_16 = (stride_16.astype(jnp.float32) + enlarged).astype(stride_16.dtype)
        return stride_4, stride_8, stride_16


class ImageEncoder(nn.Module):
    """Pictures to the three maps that the rest of the model reads."""

    config: SAM2Config

    def setup(self):
        self.trunk = Hiera(self.config)
        self.neck = FeaturePyramid(self.config)

    def __call__(self, pictures: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(B, S, S, 3) -> (B, S/4, S/4, C), (B, S/8, S/8, C), (B, S/16, S/16, C)."""
        return self.neck(self.trunk(pictures, train))
