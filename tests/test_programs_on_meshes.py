# SPDX-License-Identifier: Apache-2.0
"""On a mesh each device works on its own rows: no frame, feature, mask or memory moves; and TPUs get their kernel."""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason='needs libtpu: pip install "jax[tpu]"'
)

PROGRAMS = """
import json, sys
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
from scripts.compilations.hlo import collectives
from sam2_jax.config import change
from sam2_jax.model import SAM2, abstract_params
from sam2_jax.target import compiling_for
from train.sharding import AXES, MeshConfig, make_mesh, parameter_shardings

def report(traced, model, mesh):
    compiled = traced.lower().compile()
    text = compiled.as_text()
    params = abstract_params(model)
    shards = jax.tree.map(lambda x, s: s.shard_shape(x.shape), params, parameter_shardings(mesh, params))
    shapes = [x.shape for x in jax.tree.leaves(params)]
    shapes += jax.tree.leaves(shards, is_leaf=lambda x: isinstance(x, tuple))
    moved = [(one.operation, one.shapes) for one in collectives(text)]
    side = model.config.image_size // 4
    embedding = side, side, model.config.embed_dim  # at the size that it is added in
    return {"moved": moved, "kernels": text.count("tpu_custom_call"), "text": text, "parameters": sorted(set(shapes)),
            "position_embedding": embedding}
"""

ON_EIGHT_CPUS = (
    PROGRAMS
    + """
from small import SMALL
from traced_programs import programs, train_loss

mesh = make_mesh(MeshConfig(data=4, fsdp=2))
rows, whole = NamedSharding(mesh, P(AXES)), NamedSharding(mesh, P())
name, attention = sys.argv[1:]
model = SAM2(change(SMALL, attention=attention))
if name == "train_loss":
    traced = train_loss(model, 8, mesh)
else:
    traced = programs(model, rows, whole, videos=8, objects=2)[name]()
print(json.dumps(report(traced, model, mesh)))
"""
)


def answer(code: str, *arguments: str, **environment: str) -> dict:
    """What a new process prints last; another number of devices, or a compiler for TPUs, needs one."""
    environment = os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"} | environment
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def moves_only_parameters_and_numbers(found: dict, few: int = 1) -> bool:
    """Whether every collective is of parameters, of their gradients or shards, or of a few numbers.

    The compiler may sum the position embedding's gradient over devices before it shrinks it to the parameter's size.
    """
    allowed = {tuple(shape) for shape in [*found["parameters"], found["position_embedding"]]}

    def harmless(shape: str) -> bool:
        sizes = tuple(int(size) for size in re.findall(r"\d+", shape[shape.index("[") :]))
        return sizes in allowed or math.prod(sizes) <= few

    return all(harmless(shape) for _, shapes in found["moved"] for shape in shapes)


# What devices exchange is settled before a program is optimized for its CPU.
EIGHT_CPUS = dict(
    JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)


@pytest.mark.parametrize(
    ("name", "attention"),
    [
        ("segment_video", "xla"),
        pytest.param("segment_video", "auto", marks=pytest.mark.slow),
        ("segment_image", "xla"),
    ],
)
def test_videos_and_images_on_a_mesh_exchange_nothing(name, attention):
    found = answer(ON_EIGHT_CPUS, name, attention, **EIGHT_CPUS)
    assert found["moved"] == []
    # The encoder's largest map is that of a device's own frames: four of its one video, or one image.
    frames = {int(count) for count in re.findall(r"f32\[(\d+),16,16,16\]", found["text"])}
    assert max(frames) == {"segment_video": 4, "segment_image": 1}[name]


def test_the_forward_pass_of_training_on_a_mesh_exchanges_numbers_alone():
    found = answer(ON_EIGHT_CPUS, "train_loss", "xla", **EIGHT_CPUS)
    assert found["moved"] and moves_only_parameters_and_numbers(found), found["moved"]


ON_TPUS = (
    PROGRAMS
    + """
from scripts.compilations.topology import open_topology
devices, _ = open_topology(sys.argv[1])
from traced_programs import evaluation_programs, programs, thin_model, train_step

narrow = dict(image_size=512, dtype="bfloat16", embed_dim=16, num_heads=1, hidden_dim=128, decoder_mlp_dim=64,
              memory_attention_mlp_dim=64)
name, mesh = sys.argv[2], make_mesh(MeshConfig(), devices)
with compiling_for(mesh=mesh.abstract_mesh):
    model = thin_model("tiny", **narrow)
if name == "train_step":
    traced = train_step(model, len(devices), mesh)
elif name == "segment_video":
    traced = programs(model, NamedSharding(mesh, P(AXES)), NamedSharding(mesh, P()), videos=len(devices))[name]()
else:  # on one of several chips of a host, as the predictors and scripts.evaluate run it
    one = jax.sharding.SingleDeviceSharding(devices[0])
    traced = (programs(model, one, one, videos=1) | evaluation_programs(model, one))[name]()
print(json.dumps(report(traced, model, mesh)))
"""
)


@needs_compiler
@pytest.mark.slow
def test_videos_on_a_mesh_of_tpus_get_the_kernel_and_exchange_nothing():
    found = answer(ON_TPUS, "v5e:2x2", "segment_video")
    assert found["moved"] == [] and found["kernels"] > 0


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", ["track_frame", "carry"])
def test_predictors_and_evaluation_get_the_kernel_on_a_host_of_several_tpus(name):
    found = answer(ON_TPUS, "v5e:2x4", name)
    assert found["kernels"] > 0 and found["moved"] == []
    assert "1024,7232" not in found["text"]  # no score matrix


@needs_compiler
@pytest.mark.slow
def test_a_step_of_training_on_tpus_exchanges_gradients_and_numbers_alone():
    found = answer(ON_TPUS, "v5e:2x2", "train_step")
    assert found["kernels"] > 0 and found["moved"]
    # Six sums of 128 channels are carried in one collective.
    assert moves_only_parameters_and_numbers(found, few=6 * 128), found["moved"]
