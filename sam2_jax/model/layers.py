# SPDX-License-Identifier: Apache-2.0
"""Layers that several boxes of the model share.

In and out: feature maps (..., H, W, C) or tokens (..., N, C), channels last throughout.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

# PyTorch's own, which the published network is trained from where it is not pre-trained. Flax's is three times as wide
# in variance: a frame's embedding then drowns the prompts in the decoder, and new weights learn to ignore them.
INITIAL = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def gelu(x: jax.Array) -> jax.Array:
    """The exact (erf) GELU; the tanh form is off by 5e-4, which a deep encoder multiplies."""
    return 0.5 * x * (1 + jax.lax.erf(x * jnp.asarray(0.5**0.5, x.dtype)))


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis, computed in float32.

    It serves maps and tokens alike, since channels are last: the published ``LayerNorm2d`` is this one, epsilon 1e-6.
    """

    epsilon: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        x = x.astype(jnp.float32)
        x = x - x.mean(-1, keepdims=True)
        variance = jnp.square(x).mean(-1, keepdims=True)
        return (x * jax.lax.rsqrt(variance + self.epsilon) * scale + bias).astype(self.dtype)


def dense(features: int, dtype: jnp.dtype) -> nn.Dense:
    """A linear layer."""
    return nn.Dense(features, dtype=dtype, kernel_init=INITIAL)


class MLP(nn.Module):
    """Linear layers with an activation between them (none after the last)."""

    dims: tuple[int, ...]
    dtype: jnp.dtype
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    def setup(self):
        self.layers = [dense(dim, self.dtype) for dim in self.dims]

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def loop(
    layers: Sequence[nn.Module],
    run: Callable[[Callable[..., jax.Array], jax.Array, Any], jax.Array],
    x: jax.Array,
    own: Any,
    rematerialise: bool = False,
) -> jax.Array:
    """Takes x through layers that are alike, as one loop over their parameters.

    A training has a layer's program once then, and not once a layer: the compiler has half of the work, or less.

    Args:
        run: takes a layer, to be called with x and more; x; and what is the layer's own. Returns the layer's x.
        own: a tree of arrays whose first axis is the layers.
        rematerialise: keep each layer's x for the backward pass, and make what is inside the layer anew.
    """
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(layer.variables["params"] for layer in layers))
    body = layers[0].clone(parent=None)

    def step(x: jax.Array, of_layer: tuple[dict, Any]) -> tuple[jax.Array, None]:
        params, own = of_layer
        return run(functools.partial(body.apply, {"params": params}), x, own), None

    step = jax.checkpoint(step) if rematerialise else step
    if len(layers) == 1:  # one layer alone may change the shape of x
        return step(x, jax.tree.map(lambda leaf: leaf[0], (params, own)))[0]
    return jax.lax.scan(step, x, (params, own))[0]


def conv(features: int, kernel_size: int, dtype: jnp.dtype, stride: int = 1, padding: int = 0) -> nn.Conv:
    """A square convolution, padded alike on all sides as PyTorch does (Flax's "SAME" pads one side more)."""
    return nn.Conv(
        features,
        (kernel_size,) * 2,
        strides=(stride,) * 2,
        padding=((padding,) * 2,) * 2,
        dtype=dtype,
        kernel_init=INITIAL,
        # Of the 7 x 7 patches of a picture nothing is gained: they overlap almost twice.
        conv_general_dilated=_convolve if kernel_size <= 4 else None,
    )


def _convolve(x: jax.Array, kernel: jax.Array, strides, padding, **_) -> jax.Array:
    """(B, H, W, C) and (k, k, C, D) -> (B, H', W', D); backwards on a CPU it is a matrix product, which is faster."""
    return _convolution(x, kernel, strides[0], padding[0][0])


def _convolution_itself(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, ((padding,) * 2,) * 2, dimension_numbers=layout)


def _product_of_patches(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    side, channels = kernel.shape[0], kernel.shape[-1]
    x = jnp.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    last = [extent - side + 1 for extent in x.shape[1:3]]
    taps = [
        x[:, row : row + last[0] : stride, column : column + last[1] : stride]
        for row in range(side)
        for column in range(side)
    ]
    return jnp.concatenate(taps, axis=-1) @ kernel.reshape(-1, channels)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolution(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    return _convolution_itself(x, kernel, stride, padding)


def _convolution_forward(x, kernel, stride, padding):
    return _convolution_itself(x, kernel, stride, padding), (x, kernel)


def _convolution_backward(stride, padding, inputs, gradient):
    def through(function):
        return lambda x, kernel, gradient: jax.vjp(lambda *a: function(*a, stride, padding), x, kernel)[1](gradient)

    choices = through(_product_of_patches), through(_convolution_itself)
    return jax.lax.platform_dependent(*inputs, gradient, cpu=choices[0], default=choices[1])


_convolution.defvjp(_convolution_forward, _convolution_backward)


def chain(x: jax.Array, first: nn.Conv, second: nn.Conv) -> jax.Array:
    """Two 1 x 1 convolutions in a row, as the one that they amount to.

    Where `first` widens and `second` narrows, this saves most of the products, and the wide map between them.
    """
    if first.is_initializing():
        return second(first(x))
    kernels, biases = zip(*((p["kernel"][0, 0], p["bias"]) for p in (c.variables["params"] for c in (first, second))))
    kernel, bias = kernels[0] @ kernels[1], biases[0] @ kernels[1] + biases[1]
    return x @ kernel.astype(x.dtype) + bias.astype(x.dtype)


class ConvTranspose2x2(nn.Module):
    """A transposed convolution of kernel 2 and stride 2: each token becomes a block of 2 x 2.

    Blocks do not overlap, so it is one matrix product; the kernel is (in, 2, 2, out).
    """

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        initial = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform", in_axis=0, out_axis=(1, 2, 3))
        kernel = self.param("kernel", initial, (x.shape[-1], 2, 2, self.features)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        blocks = jnp.einsum("...hwi,iabo->...hawbo", x.astype(self.dtype), kernel) + bias
        return einops.rearrange(blocks, "... h a w b c -> ... (h a) (w b) c")


class Embedding(nn.Module):
    """`count` learned vectors of `dim` channels, returned as float32 (count, dim)."""

    count: int
    dim: int

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("embedding", nn.initializers.normal(1.0), (self.count, self.dim))
