# SPDX-License-Identifier: Apache-2.0
"""Every way to compute attention gives what the plain one gives, gradients too, and an invalid key weighs nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import QUICK

from sam2_jax.model.attention import attention, choice, splash, tiled
from sam2_jax.target import Target, compiling_for

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
    monkeypatch.setattr(tiled, "_CPU_SCORES_AT_ONCE", 1024)
    monkeypatch.setattr(tiled, "_CPU_KEYS_AT_ONCE", 32)
    monkeypatch.setattr(tiled, "_KEYS_AT_ONCE", 32)
    monkeypatch.setattr(choice, "KERNEL_FROM", 1)
    monkeypatch.setattr(splash, "_BLOCK_BYTES", 512)
    monkeypatch.setattr(splash, "_INTERPRET", True)


TARGETS = {"blocked": Target("cpu"), "xla": Target("cpu"), "flash": Target("tpu")}


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_blocked_equals_plain(shape, some_invalid):
    with compiling_for(Target("cpu")):
        compare("blocked", shape, some_invalid)


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", ["one large map", "memories, narrow values"])
def test_blocked_with_all_rows_together_equals_plain(shape, some_invalid):
    with compiling_for(Target("gpu")):
        compare("blocked", SHAPES[shape], some_invalid)


@pytest.mark.parametrize("some_invalid", [False, True])
@pytest.mark.parametrize("shape", ["pooled windows", "memories, narrow values"])
def test_the_kernel_of_tpus_equals_plain(shape, some_invalid):
    with compiling_for(Target("tpu")):
        compare("flash", SHAPES[shape], some_invalid)


def compare(implementation, shape, some_invalid):
    inputs = arrays(shape)
    valid = None
    if some_invalid:
        valid = jax.random.bernoulli(jax.random.key(1), 0.3, inputs[1].shape[:2]).at[:, -1].set(True)

    def loss(implementation):
        return lambda *inputs: jnp.sum(jnp.sin(attention(*inputs, valid, implementation=implementation)))

    given, plain = (attention(*inputs, valid, implementation=name) for name in (implementation, "xla"))
    np.testing.assert_allclose(given, plain, rtol=1e-5, atol=1e-5)
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
    with compiling_for(TARGETS[implementation]):
        wild_values = jnp.where(valid[:, :, None, None], values, 1e6)
        given = attention(queries, wild, wild_values, valid, implementation=implementation)
        alone = attention(queries, keys[:, half:], values[:, half:], implementation=implementation)
    np.testing.assert_allclose(given, alone, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("implementation", ["blocked", "xla", "flash"])
def test_lengths_are_a_mask_of_what_is_behind_them(implementation):
    queries, keys, values = arrays(SHAPES["memories, narrow values"])
    lengths = jnp.array([1, 260], jnp.int32)
    valid = jnp.arange(keys.shape[1]) < lengths[:, None]
    with compiling_for(TARGETS[implementation]):
        ours = attention(queries, keys, values, lengths=lengths, implementation=implementation)
    np.testing.assert_allclose(
        ours, attention(queries, keys, values, valid, implementation="xla"), rtol=1e-5, atol=2e-5
    )


def test_float32_products_are_as_exact_as_asked_for_in_kernels_too():
    inputs = arrays(SHAPES["one large map"])

    def products(implementation, precision, function=None):
        with compiling_for(TARGETS[implementation], precision=precision):
            attend = lambda *inputs: attention(*inputs, implementation=implementation).sum()  # noqa: E731
            text = str(jax.make_jaxpr(function(attend) if function else attend)(*inputs))
        return text.count("precision=(Precision.HIGHEST"), text.count("dot_general")

    for implementation in ("blocked", "xla", "flash"):
        assert products(implementation, "default")[0] == 0
        for function in (None, jax.grad):
            exact, every = products(implementation, "highest", function)
            assert exact == every > 0
    for function in (None, jax.grad):  # kernels have nothing between
        exact, every = products("flash", "high", function)
        assert exact == every > 0


def test_a_config_says_how_exact_its_programs_are():
    from small import SMALL

    from sam2_jax.config import change
    from sam2_jax.model import SAM2, abstract_params
    from sam2_jax.segmentation import encode_frames

    frames = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)

    def fast_products(precision):
        # A model of its own: what is traced with small blocks would serve the next test in this process, too.
        model = SAM2(change(SMALL, name="with_small_blocks", precision=precision))
        text = encode_frames.lower(model, abstract_params(model), frames).as_text()
        return len(re.findall(r"dot_general.*precision = \[DEFAULT, DEFAULT\]", text))

    assert fast_products("default") > 0 and fast_products("highest") == 0


def test_scores_are_float32_in_bfloat16():
    queries, keys, values = (x.astype(jnp.bfloat16) for x in arrays(SHAPES["one large map"]))
    for implementation in ("blocked", "xla", "flash"):
        with compiling_for(TARGETS[implementation]):
            out = attention(queries, keys, values, implementation=implementation)
        assert out.dtype == jnp.bfloat16
        exact = attention(*(x.astype(jnp.float32) for x in (queries, keys, values)), implementation="xla")
        np.testing.assert_allclose(out.astype(jnp.float32), exact, atol=0.1)


ON_FOUR_DEVICES = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding
from sam2_jax.model.attention import attention, choice, splash
from sam2_jax.target import Target, compiling_for

choice.KERNEL_FROM, splash._INTERPRET = 1, True
attend = jax.jit(attention, static_argnames="implementation")
mesh = jax.make_mesh((2, 2), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)
with jax.set_mesh(mesh), compiling_for(Target("tpu")):
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
    environment = (
        os.environ
        | QUICK
        | {
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        }
    )
    answer = subprocess.run([sys.executable, "-c", ON_FOUR_DEVICES], env=environment, capture_output=True, text=True)
    assert answer.stdout.endswith("equal\n"), answer.stderr[-3000:]
