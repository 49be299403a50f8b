# SPDX-License-Identifier: Apache-2.0
"""Every way to compute attention gives what the plain one gives, gradients too, and an invalid key weighs nothing."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sam2_jax.model import attention as module
from sam2_jax.model import flash
from sam2_jax.model.attention import attention

ROOT = Path(__file__).parents[1]
SHAPES = {
    "windows": (6, 16, 16, 2, 8, 8),
    "pooled windows": (6, 4, 16, 2, 8, 8),
    "one large map": (1, 64, 64, 2, 8, 8),
    "memories, narrow values": (2, 200, 300, 1, 16, 4),
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
    monkeypatch.setattr(module, "_FLASH_FROM", 1)
    monkeypatch.setattr(flash, "_BLOCK_BYTES", 512)
    monkeypatch.setattr(flash, "_INTERPRET", True)


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_blocked_equals_plain(shape, some_invalid):
    compare("blocked", shape, some_invalid)


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", ["pooled windows", "memories, narrow values"])
def test_the_kernel_of_tpus_equals_plain(shape, some_invalid):
    compare("flash", SHAPES[shape], some_invalid)


def compare(implementation, shape, some_invalid):
    inputs = arrays(shape)
    valid = None
    if some_invalid:
        valid = jax.random.bernoulli(jax.random.key(1), 0.3, inputs[1].shape[:2]).at[:, -1].set(True)

    def loss(implementation):
        return lambda *inputs: jnp.sum(jnp.sin(attention(*inputs, valid, implementation)))

    np.testing.assert_allclose(
        attention(*inputs, valid, implementation), attention(*inputs, valid, "xla"), rtol=1e-5, atol=1e-5
    )
    ours = jax.grad(loss(implementation), argnums=(0, 1, 2))(*inputs)
    plain = jax.grad(loss("xla"), argnums=(0, 1, 2))(*inputs)
    for mine, other in zip(ours, plain):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


EVERYWHERE = [(implementation, shape) for implementation in ("blocked", "xla") for shape in SHAPES]


@pytest.mark.parametrize(("implementation", "shape"), [*EVERYWHERE, ("flash", "memories, narrow values")])
def test_invalid_keys_weigh_nothing_whatever_they_hold(implementation, shape):
    queries, keys, values = arrays(SHAPES[shape])
    # The first half is invalid: whole blocks of keys, before any valid one.
    half = keys.shape[1] // 2
    valid = jnp.broadcast_to(jnp.arange(keys.shape[1]) >= half, keys.shape[:2])
    wild = jnp.where(valid[:, :, None, None], keys, 50.0)
    given = attention(queries, wild, jnp.where(valid[:, :, None, None], values, 1e6), valid, implementation)
    alone = attention(queries, keys[:, half:], values[:, half:], None, implementation)
    np.testing.assert_allclose(given, alone, rtol=1e-5, atol=1e-5)


def test_scores_are_float32_in_bfloat16():
    queries, keys, values = (x.astype(jnp.bfloat16) for x in arrays(SHAPES["one large map"]))
    for implementation in ("blocked", "xla", "flash"):
        out = attention(queries, keys, values, implementation=implementation)
        assert out.dtype == jnp.bfloat16
        exact = attention(*(x.astype(jnp.float32) for x in (queries, keys, values)), implementation="xla")
        np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.1)


ON_FOUR_DEVICES = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding
from sam2_jax.model import attention as module, flash

module._FLASH_FROM, flash._INTERPRET = 1, True
attend = jax.jit(module.attention, static_argnames="implementation")
mesh = jax.make_mesh((2, 2), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
with jax.set_mesh(mesh):
    for rows in (4, 3):
        draw = lambda *shape: np.random.default_rng(0).standard_normal((rows, *shape)).astype(np.float32)
        inputs = draw(16, 2, 8), draw(24, 2, 8), draw(24, 2, 4), draw(24) > 0
        if rows == 4:
            inputs = jax.device_put(inputs, NamedSharding(mesh, jax.P(("data", "fsdp"))))
        program = str(attend.trace(*inputs, implementation="flash").jaxpr)
        assert ("pallas_call" in program) == (rows == 4)
        ours = attend(*inputs, implementation="flash")
        np.testing.assert_allclose(ours, attend(*inputs, implementation="xla"), rtol=1e-5, atol=1e-5)
        assert rows == 3 or len(ours.sharding.device_set) == 4
print("equal")
"""


def test_the_kernel_of_tpus_takes_the_rows_where_they_are():
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    answer = subprocess.run([sys.executable, "-c", ON_FOUR_DEVICES], env=environment, capture_output=True, text=True)
    assert answer.stdout.endswith("equal\n"), answer.stderr[-3000:]
