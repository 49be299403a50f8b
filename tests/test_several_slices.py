# SPDX-License-Identifier: Apache-2.0
"""Over several slices of TPUs a step is one program, and only gradients and numbers go from slice to slice."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason='needs libtpu: pip install "jax[tpu]"'
)


def answer(code: str):
    """What a new process, which a compiler for TPUs needs, prints last."""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


MESHES = """
import json
from scripts.compilations.topology import open_topology
from train.sharding import MeshConfig, make_mesh

devices, _ = open_topology("v5e:2x2", slices=2)
meshes = [make_mesh(MeshConfig(fsdp=fsdp), devices).devices.tolist() for fsdp in (1, 2, 4)]
try:
    make_mesh(MeshConfig(fsdp=8), devices)
except ValueError as error:
    print(json.dumps([[[[device.slice_index for device in row] for row in mesh] for mesh in meshes], str(error)]))
"""


@needs_compiler
def test_a_copy_of_the_parameters_stays_inside_one_slice():
    (one, two, four), sentence = answer(MESHES)
    assert one == [[0]] * 4 + [[1]] * 4
    assert two == [[0, 0]] * 2 + [[1, 1]] * 2
    assert four == [[0] * 4, [1] * 4]
    assert sentence.startswith(
        "mesh.fsdp=8 does not fit inside one slice: slice 0 of 2 has 4 devices; expected a divisor"
    )


STEPS = """
import dataclasses, json, math
import jax
from scripts.compilations.hlo import collectives
from scripts.compilations.programs import train_steps, with_clips
from scripts.compilations.topology import open_topology
from train.__main__ import load_config
from train.sharding import MeshConfig, make_mesh, parameter_shardings
from sam2_jax.model import SAM2, abstract_params

devices, _ = open_topology("v5e:2x2", slices=2)
config = load_config("tests/tiny_run.py:videos")
# In float32, more than one clip a chip ends in a failed check of the compiler's own (libtpu 0.0.42).
config = dataclasses.replace(
    config, mesh=MeshConfig(fsdp=2), model=dataclasses.replace(config.model, dtype="bfloat16"))
mesh = make_mesh(config.mesh, devices)
params = abstract_params(SAM2(config.model))
shards = jax.tree.map(lambda x, sharding: math.prod(sharding.shard_shape(x.shape)), params,
                      parameter_shardings(mesh, params))

def crossing(clips):
    (step,) = train_steps(with_clips(config, clips), mesh)
    found = collectives(step.traced.lower().compile().as_text())
    return [(one.operation, one.shapes) for one in found if one.crosses_slices], len(found)

print(json.dumps([crossing(8), crossing(16), jax.tree.leaves(shards)]))
"""


def elements(shape: str) -> int:
    count = 1
    for size in shape[shape.index("[") + 1 : -1].split(","):
        count *= int(size)
    return count


@needs_compiler
@pytest.mark.slow
def test_what_crosses_slices_is_gradients_and_numbers():
    """Sums alone, none larger than the largest gradient on a device, and the same for any number of clips."""
    (few, collectives), (many, _), gradients = answer(STEPS)
    assert 0 < len(few) < collectives
    assert {operation for operation, _ in few} == {"all-reduce"}
    assert all(elements(shape) <= max(gradients) + 1024 for _, shapes in few for shape in shapes)
    # Activations grow with the clips, and would be seen here.
    assert sorted(few) == sorted(many)
