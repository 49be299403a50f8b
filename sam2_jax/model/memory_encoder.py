# SPDX-License-Identifier: Apache-2.0
"""The memory encoder: a predicted mask and its frame, fused into a spatial memory (sections 4 and D.1).

In: the frame's unconditioned map (B, h, w, C) and mask values of O objects (B, O, 16 h, 16 w).
Out: a memory of each object (B, O, h, w, memory channels).
"""

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from sam2_jax.config import SAM2Config
from sam2_jax.model.layers import LayerNorm, conv, dense, gelu


class MaskDownsampler(nn.Module):
    """Mask values at the input's resolution to the frame's map: four halvings, each with four times the channels."""

    dim: int
    dtype: jnp.dtype

    def setup(self):
        layers = []
        for halving in range(1, 5):
            layers += [conv(4**halving, 3, self.dtype, stride=2, padding=1), LayerNorm(1e-6, self.dtype), gelu]
        self.encoder = [*layers, conv(self.dim, 1, self.dtype)]

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.encoder:
            x = layer(x)
        return x


class DepthwiseConv7x7(nn.Module):
    """A 7 x 7 convolution of each channel by itself, as 49 shifted products: both CPU and TPU run those much faster."""

    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        initial = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=(0, 1), out_axis=(2, 3))
        kernel = self.param("kernel", initial, (7, 7, 1, channels)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(self.dtype)
        return _depthwise(x, kernel[:, :, 0], bias)


@jax.custom_vjp
def _depthwise(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """(B, H, W, C), (7, 7, C) and (C) -> (B, H, W, C)."""
    height, width = x.shape[1:3]
    padded = _pad(x)
    shifted = (
        padded[:, row : row + height, column : column + width] * kernel[row, column]
        for row in range(7)
        for column in range(7)
    )
    return sum(shifted, bias)


def _pad(x: jax.Array) -> jax.Array:
    return jnp.pad(x, ((0, 0), (3, 3), (3, 3), (0, 0)))


def _depthwise_backward(inputs: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x, kernel = inputs
    height, width, channels = x.shape[1:]
    padded = _pad(x)

    def of_row(row):
        rows = jax.lax.dynamic_slice_in_dim(padded, row, height, axis=1)
        products = (rows[:, :, column : column + width] * gradient for column in range(7))
        return jnp.stack([product.reshape(-1, channels).sum(0) for product in products])

    of_bias = gradient.sum((0, 1, 2))
    of_x = _depthwise(gradient, kernel[::-1, ::-1], jnp.zeros_like(of_bias))
    # A row of the kernel at a time: 49 sums that are left to the compiler take it several times as long.
    return of_x, jax.lax.map(of_row, jnp.arange(7)), of_bias


_depthwise.defvjp(lambda x, kernel, bias: (_depthwise(x, kernel, bias), (x, kernel)), _depthwise_backward)


class FuserLayer(nn.Module):
    """A ConvNeXt block (Liu et al., 2022)."""

    dim: int
    dtype: jnp.dtype

    def setup(self):
        self.dwconv = DepthwiseConv7x7(self.dtype)
        self.norm = LayerNorm(1e-6, self.dtype)
        self.pwconv1 = dense(4 * self.dim, self.dtype)
        self.pwconv2 = dense(self.dim, self.dtype)
        self.gamma = self.param("gamma", nn.initializers.constant(1e-6), (self.dim,))

    def __call__(self, x: jax.Array) -> jax.Array:
        update = self.pwconv2(gelu(self.pwconv1(self.norm(self.dwconv(x)))))
        return x + self.gamma.astype(x.dtype) * update


class Fuser(nn.Module):
    dim: int
    dtype: jnp.dtype

    def setup(self):
        self.layers = [FuserLayer(self.dim, self.dtype) for _ in range(2)]

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Mask and frame to memory."""

    config: SAM2Config

    def setup(self):
        dim, dtype = self.config.hidden_dim, jnp.dtype(self.config.dtype)
        self.mask_downsampler = MaskDownsampler(dim, dtype)
        self.pix_feat_proj = conv(dim, 1, dtype)
        self.fuser = Fuser(dim, dtype)
        self.out_proj = conv(self.config.memory_dim, 1, dtype)

    def __call__(self, frame: jax.Array, masks: jax.Array) -> jax.Array:
        """The image encoder's own map (B, h, w, C), mask values (B, O, 16 h, 16 w) -> (B, O, h, w, memory channels)."""
        batch, objects = masks.shape[:2]
        masks = einops.rearrange(masks, "b o h w -> (b o) h w 1").astype(self.config.dtype)
        masks = einops.rearrange(self.mask_downsampler(masks), "(b o) ... -> b o ...", o=objects)
        fused = self.pix_feat_proj(frame)[:, None] + masks
        memory = self.out_proj(self.fuser(einops.rearrange(fused, "b o h w c -> (b o) h w c")))
        return einops.rearrange(memory, "(b o) h w c -> b o h w c", b=batch)
