# SPDX-License-Identifier: Apache-2.0
"""Layers with a backward pass of their own have the gradients that the compiler would give them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sam2_jax.model.layers import conv
from sam2_jax.model.memory_encoder import DepthwiseConv7x7


def check_gradients(layer, plain, x: jax.Array) -> None:
    params = layer.init(jax.random.key(1), x)["params"]

    def loss(function):
        return lambda params, x: jnp.sin(function(params, x)).sum()

    ours = jax.grad(loss(lambda params, x: layer.apply({"params": params}, x)), (0, 1))(params, x)
    theirs = jax.grad(loss(plain), (0, 1))(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, theirs)


def convolution(x, kernel, stride, padding, groups=1):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,) * 2, ((padding,) * 2,) * 2, dimension_numbers=layout, feature_group_count=groups
    )


@pytest.mark.parametrize(("side", "stride", "padding"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 4, 0)])
@pytest.mark.parametrize("size", [8, 12])
def test_of_a_convolution(side, stride, padding, size):
    def plain(params, x):
        return convolution(x, params["kernel"], stride, padding) + params["bias"]

    x = jax.random.normal(jax.random.key(0), (2, size, size, 3))
    check_gradients(conv(5, side, jnp.float32, stride, padding), plain, x)


def test_of_a_depthwise_convolution():
    def plain(params, x):
        return convolution(x, params["kernel"], 1, 3, groups=4) + params["bias"]

    check_gradients(DepthwiseConv7x7(jnp.float32), plain, jax.random.normal(jax.random.key(0), (2, 9, 6, 4)))
