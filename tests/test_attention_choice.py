# SPDX-License-Identifier: Apache-2.0
"""Every attention call of every program gets a way that accepts it, on GPUs and TPUs that are not here."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest
from jax._src.cudnn import fused_attention_stablehlo as cudnn_in_jax
from traced_programs import evaluation_programs, programs, thin_model, train_loss, train_step

from sam2_jax.model.attention import attention, dispatch
from sam2_jax.model.attention.choice import BY_KEY, BY_LENGTH, KERNEL_FROM, NO_MASK, Call, choose
from sam2_jax.target import Target, compiling_for
from train.sharding import MeshConfig, make_mesh

SIZES = (256, 512, 1024)
LOWERED = {"gpu": "cuda", "tpu": "tpu"}  # platforms, as JAX names them there
TARGETS = Target("gpu", 8.0), Target("gpu", 9.0), Target("gpu", 10.0), Target("tpu")


@pytest.fixture(scope="module")
def calls() -> set[Call]:
    """All calls that the models, predictors, evaluation and training make, at every size, in both types."""
    found, choose_as_ever = set(), dispatch.choose

    def note(call: Call, target: Target, wanted: str) -> str:
        found.add(dataclasses.replace(call, dtype="float32"))
        return choose_as_ever(call, target, wanted)

    dispatch.choose = note
    try:
        with compiling_for(Target("gpu")):  # one without kernels traces quickest
            for size in SIZES:
                model = thin_model("base_plus", image_size=size, dtype="bfloat16")
                mine = programs(model) | evaluation_programs(model)
                for name in ("segment_image", "segment_video", "click_on_images", "click_on_frames"):
                    mine[name]()
                train_loss(model, 1, make_mesh(MeshConfig(), jax.devices()[:1]))
                for other in ("tiny", "large"):  # they differ in the encoder alone
                    model = thin_model(other, image_size=size, dtype="bfloat16")
                    programs(model)["encode_frames"]()
    finally:
        dispatch.choose = choose_as_ever
    return {dataclasses.replace(call, dtype=dtype) for call in found for dtype in ("float32", "bfloat16")}


@pytest.fixture
def stand_in_for_a_gpu(monkeypatch):
    """JAX asks for the version of cuDNN and the card while it traces; sets the card's capability."""

    def stand_in(capability: float) -> None:
        monkeypatch.setattr(cudnn_in_jax, "check_cudnn_version", lambda: 91000)
        monkeypatch.setattr(cudnn_in_jax, "check_compute_capability", lambda least: capability >= float(least))
        monkeypatch.setattr(cudnn_in_jax, "is_cuda_compute_capability_equal", lambda one: capability == float(one))

    return stand_in


def lowered(call: Call, target: Target) -> str:
    """The program of a call, with its backward pass where it is trained; with lengths also as under vmap."""
    shape, dtype = jax.ShapeDtypeStruct, jnp.dtype(call.dtype)
    arguments = [
        shape((call.rows, call.queries, call.heads, call.dim), dtype),
        shape((call.rows, call.keys, call.heads, call.dim), dtype),
        shape((call.rows, call.keys, call.heads, call.value_dim), dtype),
    ]
    masks = {BY_KEY: ("valid", shape((call.rows, call.keys), bool)), BY_LENGTH: ("lengths", shape((call.rows,), int))}
    name, mask = masks.get(call.mask, ("", None))
    arguments += [] if mask is None else [shape(mask.shape, jnp.int32 if name == "lengths" else bool)]

    def attend(queries, keys, values, *mask):
        return attention(queries, keys, values, **({name: mask[0]} if mask else {}), train=call.train)

    def run(*arguments):
        out = attend(*arguments)
        if call.mask == BY_LENGTH:
            out += jax.vmap(attend)(*(x[None] for x in arguments))[0]
        return out.astype(jnp.float32).sum()

    function = jax.grad(run, (0, 1, 2)) if call.train else run
    with compiling_for(target):
        return jax.jit(function).trace(*arguments).lower(lowering_platforms=(LOWERED[target.platform],)).as_text()


def matrices(text: str) -> list[tuple[int, int]]:
    """The last two sizes of every array of a program."""
    return [(int(a), int(b)) for a, b in re.findall(r"tensor<(?:\d+x)*?(\d+)x(\d+)x[a-z]+\d+>", text)]


def test_every_gpu_and_tpu_accepts_what_is_chosen_and_holds_no_large_score_matrix(calls, stand_in_for_a_gpu):
    """One test, so that one process finds the calls."""
    memory = {(call.queries, call.keys, call.train) for call in calls if call.value_dim < call.dim}
    assert {(256, 1856, False), (1024, 7232, False), (4096, 28736, False)} <= memory
    assert {True, False} == {train for _, _, train in memory} and {1, 2, 4, 8, 16} <= {call.heads for call in calls}
    for call in sorted(calls, key=str):
        for target in TARGETS:
            chosen = choose(call, target)
            assert (chosen == "xla") == (call.scores < KERNEL_FROM)
            if chosen != "xla":
                stand_in_for_a_gpu(target.capability)
                check(call, target, chosen)


def check(call: Call, target: Target, chosen: str) -> None:
    text = lowered(call, target)
    there = matrices(text)
    assert ("cudnn" in text) == (chosen == "cudnn"), (call, target)
    assert ("tpu_custom_call" in text) == (chosen == "flash"), (call, target)
    whole = max(call.keys, 2049)
    assert not [pair for pair in there if pair[0] >= call.queries and pair[1] >= whole], (call, target)
    if chosen == "blocked":  # a block of keys for all rows and queries at once
        assert (call.queries, min(call.keys, 2048)) in there, (call, target)


MEMORY = Call(2, 4096, 28736, 1, 256, 64, "bfloat16", BY_LENGTH, False)
GLOBAL = Call(1, 4096, 4096, 8, 56, 56, "bfloat16", NO_MASK, True)
WINDOWS = Call(1024, 64, 64, 2, 56, 56, "bfloat16", NO_MASK, True)
CHOICES = {
    "memory on Hopper": (MEMORY, Target("gpu", 9.0), "cudnn"),
    "memory on Ampere": (MEMORY, Target("gpu", 8.0), "blocked"),
    "memory on Blackwell": (MEMORY, Target("gpu", 10.0), "blocked"),
    "memory in training": (dataclasses.replace(MEMORY, train=True), Target("gpu", 9.0), "blocked"),
    "memory in float32": (dataclasses.replace(MEMORY, dtype="float32"), Target("gpu", 9.0), "blocked"),
    "a mask of single keys": (dataclasses.replace(MEMORY, mask=BY_KEY), Target("gpu", 9.0), "blocked"),
    "no NVIDIA GPU": (MEMORY, Target("gpu"), "blocked"),
    "before Ampere": (GLOBAL, Target("gpu", 7.5), "blocked"),
    "a whole map on Ampere": (GLOBAL, Target("gpu", 8.0), "cudnn"),
    "a whole map on Blackwell": (GLOBAL, Target("gpu", 10.0), "cudnn"),
    "windows on a GPU": (WINDOWS, Target("gpu", 9.0), "xla"),
    "memory on a TPU": (MEMORY, Target("tpu"), "flash"),
    "memory on a mesh": (MEMORY, Target("tpu", devices=2), "flash"),
    "rows that the mesh does not divide": (MEMORY, Target("tpu", devices=4), "blocked"),
    "windows on a TPU": (WINDOWS, Target("tpu"), "xla"),
    "one CPU": (WINDOWS, Target("cpu"), "blocked"),
    "several CPUs, windows": (WINDOWS, Target("cpu", devices=8), "xla"),
    "several CPUs, memory": (MEMORY, Target("cpu", devices=8), "blocked"),
}


@pytest.mark.parametrize(("call", "target", "expected"), CHOICES.values(), ids=CHOICES)
def test_the_choice(call, target, expected):
    assert choose(call, target) == expected
    assert choose(call, target, "xla") == "xla" and choose(call, target, "blocked") == "blocked"


@pytest.mark.parametrize(("wanted", "platform", "kernels"), [("flash", "cpu", "TPUs"), ("cudnn", "tpu", "GPUs")])
def test_a_kernel_that_the_device_has_not_is_refused_at_construction(wanted, platform, kernels):
    with compiling_for(Target(platform)), pytest.raises(ValueError, match=f"a kernel for {kernels}, but this is a"):
        thin_model("tiny", attention=wanted)
    with compiling_for(Target({"TPUs": "tpu", "GPUs": "gpu"}[kernels])):
        thin_model("tiny", attention=wanted)


@pytest.mark.parametrize("target", [pytest.param(TARGETS[0], marks=pytest.mark.slow), *TARGETS[1:3]], ids=str)
def test_a_video_at_full_size_is_traced_for_gpus(target, stand_in_for_a_gpu):
    check_program("segment_video", target, "bfloat16", stand_in_for_a_gpu)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["carry", "train_step"])
def test_evaluation_and_training_at_full_size_are_traced_for_gpus(name, stand_in_for_a_gpu):
    check_program(name, Target("gpu", 9.0), "bfloat16", stand_in_for_a_gpu)


def test_float32_at_full_size_is_traced_for_gpus(stand_in_for_a_gpu):
    check_program("segment_video", Target("gpu", 9.0), "float32", stand_in_for_a_gpu)


def check_program(name: str, target: Target, dtype: str, stand_in_for_a_gpu) -> None:
    stand_in_for_a_gpu(target.capability)
    with compiling_for(target):
        model = thin_model("base_plus", image_size=1024, dtype=dtype)
        if name == "train_step":
            traced = train_step(model, 1, make_mesh(MeshConfig(), jax.devices()[:1]))
        else:
            traced = (programs(model) | evaluation_programs(model))[name]()
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert ("cudnn" in text) == (dtype == "bfloat16")
    assert not {(4096, 4096), (4096, 28736)} & set(matrices(text))
