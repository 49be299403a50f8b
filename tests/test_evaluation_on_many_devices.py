# SPDX-License-Identifier: Apache-2.0
"""Evaluation during training gives the same J on any devices, and costs each of them the same."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import QUICK

TESTS = Path(__file__).parent
needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason='needs libtpu: pip install "jax[tpu]"'
)
EVALUATE = """
import json, sys
import jax

if len(sys.argv) > 1:
    jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import numpy as np
from data.synthetic import SyntheticVideos
from sam2_jax.model import SAM2
from small import rule_params
from tiny_run import MODEL
from train.evaluation import EvaluationConfig, HeldOut
from train.sharding import MeshConfig, make_mesh, parameter_shardings, place

read = []

class Watched(SyntheticVideos):
    def frames(self, index, frames):
        read.append(index)
        return super().frames(index, frames)

model, mesh = SAM2(MODEL), make_mesh(MeshConfig(fsdp=jax.device_count()))
params = rule_params(model)
params = place(params, parameter_shardings(mesh, params))
source = Watched(3, 8, name="watched", frames=3, size=64)
config = EvaluationConfig(source, videos=5, frames=2, objects=2, pictures=3)
values, images = HeldOut(config, model, mesh).evaluate(params)
print(json.dumps([values, read, np.array(images, int).sum((1, 2, 3)).tolist() if images else []]))
"""


def start(devices: int, *arguments) -> subprocess.Popen:
    environment = (
        os.environ
        | QUICK
        | {
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_backend_optimization_level=0 --xla_force_host_platform_device_count={devices}",
        }
    )
    command = [sys.executable, "-c", EVALUATE, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(*processes: subprocess.Popen) -> list:
    outputs = [process.communicate(timeout=500) for process in processes]
    for process, (_, errors) in zip(processes, outputs):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


@pytest.fixture(scope="module")
def one_device():
    """J, which videos were read, and a number for each image."""
    (answer,) = answers(start(1))
    return answer


def test_one_device_evaluates_every_clip_and_draws_the_first(one_device):
    values, read, images = one_device
    assert set(values) == {"evaluation/j_first_frame", "evaluation/j_tracked"}
    assert all(0 < value < 1 for value in values.values())
    assert len(read) == len(set(read)) == 5
    assert len(images) == 3 * 2


def test_eight_devices_have_the_j_of_one_though_three_of_them_have_no_clip(one_device):
    ((values, read, images),) = answers(start(8))
    assert values == pytest.approx(one_device[0], abs=1e-5)
    assert read == one_device[1]
    np.testing.assert_allclose(images, one_device[2], rtol=1e-3)


@pytest.mark.slow
def test_two_processes_have_the_j_of_one_and_read_their_own_clips_alone(one_device):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    (values, first, images), (others, second, none) = answers(*(start(2, address, process) for process in range(2)))
    assert values == pytest.approx(one_device[0], abs=1e-5) and others == values
    # Two rounds of four clips, two of them empty: of each round the first two are those of process 0.
    videos = one_device[1]
    assert (first, second) == ([videos[0], videos[1], videos[4]], [videos[2], videos[3]])
    np.testing.assert_allclose(images, [*one_device[2][:4], *images[4:]], rtol=1e-3)
    assert len(images) == 3 * 2 and not none


PROGRAM = """
import dataclasses, json, sys
sys.path.insert(0, "tests")
from scripts.compilations.hlo import collectives
from scripts.compilations.programs import evaluation
from scripts.compilations.topology import open_topology
from tiny_run import get_config
from train.evaluation import EvaluationConfig
from train.sharding import MeshConfig, make_mesh

config = dataclasses.replace(get_config("videos"), evaluation=EvaluationConfig("none", frames=6, objects=2))
for topology in sys.argv[1:]:
    devices, _ = open_topology(topology)
    compiled = evaluation(config, make_mesh(MeshConfig(), devices)).traced.lower().compile()
    memory = compiled.memory_analysis()
    sizes = memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes
    print(json.dumps([sizes, [shape for one in collectives(compiled.as_text()) for shape in one.shapes]]))
"""


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("topologies", [("v5e:2x2", "v5e:4x4"), ("v5p:2x2x1", "v5p:4x4x8")], ids=lambda names: names[1])
def test_the_bytes_of_one_chip_do_not_depend_on_how_many_there_are(topologies):
    command = [sys.executable, "-c", PROGRAM, *topologies]
    result = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    (few, _), (many, exchanged) = (json.loads(line) for line in result.stdout.splitlines())
    assert few[:2] == many[:2]
    assert many[2] == pytest.approx(few[2], rel=0.05)
    assert exchanged and set(exchanged) <= {"f32[]", "s32[]"}  # sums alone
