# SPDX-License-Identifier: Apache-2.0
"""Every way to compute attention gives what the plain one gives, gradients too, and an invalid key weighs nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sam2_jax.model import attention as module
from sam2_jax.model.attention import attention

SHAPES = {
    "windows": (6, 16, 16, 2, 8, 8),
    "pooled windows": (6, 4, 16, 2, 8, 8),
    "one large map": (1, 64, 64, 2, 8, 8),
    "memories, narrow values": (2, 64, 300, 1, 16, 4),
    "few queries": (2, 7, 500, 4, 8, 8),
}


def arrays(shape):
    batch, length, memories, heads, dim, value_dim = shape
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = (batch, length, heads, dim), (batch, memories, heads, dim), (batch, memories, heads, value_dim)
    return [3 * jax.random.normal(key, size) for key, size in zip(keys, sizes)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_SCORES_AT_ONCE", 1024)
    monkeypatch.setattr(module, "_KEYS_AT_ONCE", 32)


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_blocked_equals_plain(shape, some_invalid):
    inputs = arrays(shape)
    valid = None
    if some_invalid:
        valid = jax.random.bernoulli(jax.random.key(1), 0.3, inputs[1].shape[:2]).at[:, -1].set(True)

    def loss(implementation):
        return lambda *inputs: jnp.sum(jnp.sin(attention(*inputs, valid, implementation)))

    np.testing.assert_allclose(
        attention(*inputs, valid, "blocked"), attention(*inputs, valid, "xla"), rtol=1e-5, atol=1e-5
    )
    ours = jax.grad(loss("blocked"), argnums=(0, 1, 2))(*inputs)
    plain = jax.grad(loss("xla"), argnums=(0, 1, 2))(*inputs)
    for mine, other in zip(ours, plain):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("implementation", ["blocked", "xla"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_invalid_keys_weigh_nothing_whatever_they_hold(shape, implementation):
    queries, keys, values = arrays(shape)
    # The first half is invalid: whole blocks of keys, before any valid one.
    half = keys.shape[1] // 2
    valid = jnp.broadcast_to(jnp.arange(keys.shape[1]) >= half, keys.shape[:2])
    wild = jnp.where(valid[:, :, None, None], keys, 50.0)
    given = attention(queries, wild, jnp.where(valid[:, :, None, None], values, 1e6), valid, implementation)
    alone = attention(queries, keys[:, half:], values[:, half:], None, implementation)
    np.testing.assert_allclose(given, alone, rtol=1e-5, atol=1e-5)


def test_scores_are_float32_in_bfloat16():
    queries, keys, values = (x.astype(jnp.bfloat16) for x in arrays(SHAPES["one large map"]))
    for implementation in ("blocked", "xla"):
        out = attention(queries, keys, values, implementation=implementation)
        assert out.dtype == jnp.bfloat16
        exact = attention(*(x.astype(jnp.float32) for x in (queries, keys, values)), implementation="xla")
        np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.1)
