# SPDX-License-Identifier: Apache-2.0
"""A training step is compiled for TPUs that are not here, and what it costs is counted loop by loop."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from scripts.compilations import topology
from scripts.compilations.hlo import sizes
from scripts.compilations.traffic import REST, Cost, traffic
from train.operations import operations

ROOT = Path(__file__).parents[1]
HAS_COMPILER = importlib.util.find_spec("libtpu") is not None
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason='needs libtpu: pip install "jax[tpu]"')

CONFIG = """
from data.config import DataConfig, Entry
from data.sampling import ClipRule
from sam2_jax.config import SAM2Config
from train.config import TrainConfig

def get_config():
    model = SAM2Config(
        name="small", embed_dim=16, stages=(1, 1, 1, 1), global_attention_blocks=(2,), position_embedding_size=(4, 4),
        image_size=64, hidden_dim=32, decoder_heads=2, decoder_mlp_dim=64, memory_dim=16, memory_attention_layers=1,
        memory_attention_mlp_dim=64, dtype="bfloat16",
    )
    pictures = Entry("no pictures", batch_size=4, clip=ClipRule(frames=1, objects=2))
    return TrainConfig(model=model, data=DataConfig((pictures, pictures), image_size=64), steps=10)
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("configs") / "small.py"
    path.write_text(CONFIG)
    return path


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "scripts.compile_for_tpu", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)


BAD = {
    "no such config": (["--config", "nothing.py", "--topology", "v5e:2x2"], "nothing.py does not exist"),
    "no such topology": (["--config", "CONFIG", "--topology", "v9:2x2"], "'v9:2x2' is no topology; expected one of"),
    "no size": (["--config", "CONFIG", "--topology", "v5e"], "such as v5e:4x4, v5p:2x2x1 or v6e:2x2"),
    "no slices": (
        ["--config", "CONFIG", "--topology", "v5e:2x2", "--slices", "0"],
        "0 slices came; expected 1 or more",
    ),
    "no such field": (["--config", "CONFIG", "--topology", "v5e:2x2", "--set", "stepz=3"], "the nearest is 'steps'"),
    "no such entry": (["--config", "CONFIG", "--topology", "v5e:2x2", "--entry", "2"], "entries 0 to 1, but --entry 2"),
    "another machine": (["--config", "CONFIG", "--topology", "v5e:2x2", "--set", "model.attention=cudnn"], "for GPUs"),
}
BAD_WITH_COMPILER = {
    "a size that no host has": (["--config", "CONFIG", "--topology", "v5e:3x5"], "no topology that the compiler knows"),
    "a mesh of other devices": (["--config", "CONFIG", "--topology", "v5e:2x2", "--set", "mesh.fsdp=3"], "4 devices"),
    "clips that cannot be divided": (["--config", "CONFIG", "--topology", "v5e:4x4"], "expected a multiple of 16"),
    "no clips": (["--config", "CONFIG", "--topology", "v5e:2x2", "--clips-per-chip", "0"], "batch size of at least 1"),
    "no evaluation": (["--config", "CONFIG", "--topology", "v5e:2x2", "--task", "evaluation"], "has no evaluation"),
    "an empty video": (["--config", "CONFIG", "--topology", "v5e:2x2", "--task", "video", "--frames", "0"], "0 frames"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence_and_code_2(arguments, sentence, config):
    answer = run(*[config if argument == "CONFIG" else argument for argument in arguments])
    assert answer.returncode == 2, answer.stderr
    assert sentence in answer.stderr.replace("\n", " ") and "Traceback" not in answer.stderr


@needs_compiler
@pytest.mark.parametrize(("arguments", "sentence"), BAD_WITH_COMPILER.values(), ids=BAD_WITH_COMPILER)
def test_what_the_topology_refuses_gets_one_sentence_too(arguments, sentence, config):
    test_bad_input_gets_one_sentence_and_code_2(arguments, sentence, config)


def test_without_the_compiler_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf'pip install "jax\[tpu\]=={jax.__version__}"'):
        topology.open_topology("v5e:2x2")


def test_another_version_of_the_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(topology.importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(topology.importlib.metadata, "requires", lambda name: ['libtpu==0.0.42.*; extra == "tpu"'])
    monkeypatch.setattr(topology.importlib.metadata, "version", lambda name: "0.0.420")
    with pytest.raises(ValueError, match=r"libtpu is 0\.0\.420; expected 0\.0\.42\.\*"):
        topology.open_topology("v5e:2x2")


def test_operations_count_every_round_of_a_loop_and_the_ways_that_are_taken():
    square, picture = jnp.ones((8, 8)), jnp.ones((1, 16, 16, 3))
    product, kernel = 2 * 8**3, jnp.ones((3, 3, 3, 5))

    def sometimes(x, i):
        return jax.lax.cond(i == 0, lambda x: x @ x @ x, lambda x: x, x), None

    def loop(x):
        return jax.lax.scan(lambda x, _: jax.lax.scan(sometimes, x, jnp.arange(4)), x, length=5)[0]

    def counted(function, *arguments, taken=None):
        return operations(jax.make_jaxpr(function)(*arguments).jaxpr, taken or {})

    assert counted(lambda x: jnp.sin(x @ x) + x @ x, square) == 2 * product
    assert counted(jax.grad(lambda x: jax.checkpoint(lambda x: jnp.sin(x @ x))(x).sum()), square) == 4 * product
    assert counted(loop, square) == 5 * 4 * 2 * product
    assert counted(loop, square, taken={(5, 4): 0.25}) == 5 * 4 * 2 * product / 4
    assert counted(loop, square, taken={(5, 3): 0.25}) == 5 * 4 * 2 * product

    def convolution(picture, kernel):
        return jax.lax.conv_general_dilated(picture, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert counted(convolution, picture, kernel) == 2 * (8 * 8 * 5) * (3 * 3 * 3)


def test_sizes_are_those_of_the_layout():
    assert sizes("f32[16,56]{1,0:T(8,128)}") == [(16 * 128 * 4, True)]
    assert sizes("bf16[56,16]{0,1:T(8,128)(2,1)S(1)}") == [(16 * 128 * 2, False)]
    assert sizes("(s32[]{:T(128)}, /*index=1*/pred[3,5]{1,0:T(4,128)(4,1)})") == [(4, True), (4 * 128, True)]


PROGRAM = """HloModule step, is_scheduled=true

%cut (stack.1: f32[10,8,128], index.1: s32[]) -> f32[8,128] {
  %stack.1 = f32[10,8,128]{2,1,0:T(8,128)} parameter(0)
  %index.1 = s32[]{:T(128)} parameter(1)
  %zero.1 = s32[]{:T(128)} constant(0)
  %cut.1 = f32[1,8,128]{2,1,0:T(8,128)} dynamic-slice(%stack.1, %index.1, %zero.1, %zero.1), dynamic_slice_sizes={1,8,128}
  ROOT %bitcast.1 = f32[8,128]{1,0:T(8,128)} bitcast(%cut.1)
}

%body (state.2: (s32[], f32[10,8,128], f32[8,128])) -> (s32[], f32[10,8,128], f32[8,128]) {
  %state.2 = (s32[]{:T(128)}, f32[10,8,128]{2,1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %index.2 = s32[]{:T(128)} get-tuple-element(%state.2), index=0
  %stack.2 = f32[10,8,128]{2,1,0:T(8,128)} get-tuple-element(%state.2), index=1
  %near.2 = f32[8,128]{1,0:T(8,128)S(1)} get-tuple-element(%state.2), index=2
  %slice.2 = f32[8,128]{1,0:T(8,128)} fusion(%stack.2, %index.2), kind=kLoop, calls=%cut, metadata={op_name="jit(step)/while/body/image_encoder/slice"}, backend_config={"window_config":{"estimated_cycles":"7"}}
  %sum.2 = f32[8,128]{1,0:T(8,128)S(1)} add(%slice.2, %near.2), backend_config={"window_config":{"estimated_cycles":"3"}}
  ROOT %tuple.2 = (s32[]{:T(128)}, f32[10,8,128]{2,1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) tuple(%index.2, %stack.2, %sum.2)
}

%condition (state.3: (s32[], f32[10,8,128], f32[8,128])) -> pred[] {
  %state.3 = (s32[]{:T(128)}, f32[10,8,128]{2,1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  %ten.3 = s32[]{:T(128)} constant(10)
  %index.3 = s32[]{:T(128)} get-tuple-element(%state.3), index=0
  ROOT %less.3 = pred[]{:T(512)} compare(%index.3, %ten.3), direction=LT
}

ENTRY %main (state.4: (s32[], f32[10,8,128], f32[8,128])) -> (s32[], f32[10,8,128], f32[8,128]) {
  %state.4 = (s32[]{:T(128)}, f32[10,8,128]{2,1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) parameter(0)
  ROOT %loop.4 = (s32[]{:T(128)}, f32[10,8,128]{2,1,0:T(8,128)}, f32[8,128]{1,0:T(8,128)S(1)}) while(%state.4), condition=%condition, body=%body
}
"""  # noqa: E501, it is the compiler's text


def test_traffic_is_what_leaves_and_enters_hbm_in_every_round_of_a_loop():
    costs, slice_bytes, index_bytes = traffic(PROGRAM, {}), 8 * 128 * 4, 4
    assert costs["image_encoder"] == Cost(10 * (2 * slice_bytes + index_bytes), 70)
    # The other summand and the sum are in the chip's own memory. The loop's test of its end counts for nothing.
    assert costs[REST] == Cost(10 * slice_bytes, 30)


ON_A_TPU = """
import json
from scripts.compilations.topology import open_topology
devices, chip = open_topology("TOPOLOGY")
import jax, jax.numpy as jnp
from scripts.compilations.measure import measure
from scripts.compilations.programs import Program

mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)
def abstract(spec, *shape):
    return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=jax.NamedSharding(mesh, spec))
def loop(x, w):
    return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=10)[0]
def numbers(x, w):
    result = measure(Program("loop", jax.jit(loop).trace(x, w), {}), chip, 4)
    return result.fits, result.needed, result.operations, result.bytes_moved, result.refusal
w = abstract(jax.P(), 8192, 8192)
print(json.dumps([numbers(abstract(jax.P("data"), rows, 8192), w) for rows in (4 * 8192, 4 * 2**23)]))
"""


@needs_compiler
@pytest.mark.parametrize(("name", "gibibytes"), [("v5e:2x2", 15.75), ("v6e:2x2", 31.25), ("v5p:2x2x1", 95.74)])
def test_numbers_of_a_loop_are_those_of_all_its_rounds(name, gibibytes):
    code = ON_A_TPU.replace("TOPOLOGY", name)
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-3000:]
    small, large = json.loads(answer.stdout)
    matrix = 2 * 8192**2
    fits, needed, counted, moved, refusal = small
    assert fits and refusal is None and 3 * matrix <= needed <= 6 * matrix
    assert counted == 10 * 2 * 8192**3
    assert 10 * 3 * matrix <= moved <= 15 * 3 * matrix
    fits, needed, _, moved, refusal = large
    assert not fits and needed >= gibibytes * 2**30 and moved is None
    assert f"{gibibytes}G" in refusal


@needs_compiler
@pytest.mark.slow
def test_the_step_of_a_training_and_segment_video_compile_from_their_config(config):
    answer = run("--config", config, "--topology", "v5e:2x2", "--json", "--set", "mesh.fsdp=2")
    assert answer.returncode == 0, answer.stderr
    (step,) = json.loads(answer.stdout)  # both sources have batches of the same shape
    assert step["fits"] and step["name"].startswith("train step: 4 clips of 1 frames with 2 objects")
    assert step["operations"] > 0 and step["bytes_moved"] > 0 and "image_encoder" in step["costs"]
    memory = step["memory"]
    assert 0 < memory["aliased"] <= memory["output"] < memory["arguments"] < memory["total"] < step["device_memory"]

    video = ("--task", "video", "--frames", "5", "--objects", "2")
    answer = run("--config", config, "--topology", "v6e:2x2", *video)
    assert answer.returncode == 0, answer.stderr
    assert "segment_video: 4 videos of 5 frames with 2 objects" in " ".join(answer.stdout.split())
    assert "memory_attention" in answer.stdout


def test_a_batch_is_what_the_loop_gives_the_step():
    from scripts.compilations import programs
    from train import loop

    assert programs._ARRAYS == loop._ARRAYS
