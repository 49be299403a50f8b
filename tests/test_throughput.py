# SPDX-License-Identifier: Apache-2.0
"""What a run says of its speed: arithmetic that can be checked by hand, and nothing where a machine does not tell."""

import dataclasses
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run

from sam2_jax.config import change
from train import throughput
from train.chips import peak_speed
from train.frame import Rematerialise
from train.prompts import FirstPrompt, SimulatedUser, draw_decisions
from train.sharding import MeshConfig, make_mesh
from train.throughput import Throughput, step_operations, taken_on_average


@pytest.mark.parametrize(
    ("kind", "speed"),
    [
        ("TPU v5 lite", 197e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("cpu", None),
    ],
)
def test_a_device_that_is_not_known_has_no_best(kind, speed):
    assert peak_speed(kind) == speed


@pytest.mark.parametrize("frames", [1, 8])
@pytest.mark.parametrize(
    "user",
    [
        SimulatedUser(),
        SimulatedUser(prompted_frames=2, corrected_frames=3, clicks=3, mask_probability=0.3, corrects_after_masks=True),
    ],
    ids=["the paper's", "another"],
)
def test_operations_are_counted_as_often_as_the_user_calls_for_them(user, frames):
    keys = jax.random.split(jax.random.key(0), 4_000)
    decisions = jax.vmap(lambda key: draw_decisions(key, frames, user))(keys)
    asked = (frames + decisions.corrected.sum(1) * user.clicks) / (frames * (1 + user.clicks))
    tracked = (decisions.first == FirstPrompt.NONE).mean(1)
    taken = taken_on_average(user, frames)
    assert taken[frames, 1 + user.clicks] == pytest.approx(float(asked.mean()), abs=0.025)
    assert taken[frames,] == pytest.approx(float(tracked.mean()), abs=0.025)


def shapes(clips: int, frames: int = 2, objects: int = 2, size: int = 64) -> dict:
    def array(dtype, *shape):
        return jax.ShapeDtypeStruct((clips, *shape), dtype)

    return {
        "frames": array(jnp.uint8, frames, size, size, 3),
        "masks": array(jnp.bool_, frames, objects, size, size),
        "valid": array(jnp.bool_, objects),
        "colour": {
            "factors": array(jnp.float32, frames, 2, 4),
            "order": array(jnp.int32, frames, 2, 4),
            "grayscale": array(jnp.bool_, frames),
        },
    }


@pytest.mark.parametrize(("kind", "frames"), [("pictures", 1), pytest.param("videos", 2, marks=pytest.mark.slow)])
def test_operations_of_a_step_are_those_of_its_mathematics(kind, frames):
    config, mesh = tiny_run.get_config(kind), make_mesh(MeshConfig(), jax.devices()[:1])
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, matrices="adam"))
    frugal = dataclasses.replace(config, rematerialise=Rematerialise(), model=change(config.model, attention="blocked"))
    whole = dataclasses.replace(config, rematerialise=Rematerialise(False, False, False))
    counted = step_operations(whole, mesh, shapes(2, frames))
    assert counted > 0
    assert step_operations(frugal, mesh, shapes(4, frames)) == pytest.approx(2 * counted, rel=1e-3)


def test_an_interval_is_the_mean_of_its_steps(monkeypatch):
    now = iter([12.0, 14.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(throughput, "peak_speed", lambda kind: 1e3)
    monkeypatch.setattr(throughput, "step_operations", lambda config, mesh, batch: 50.0 * batch["masks"].shape[0])
    monkeypatch.setattr(throughput, "_peak_bytes", lambda: 7e9)
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    counts = Throughput(tiny_run.get_config("videos"), mesh)
    assert counts.begun(shapes(8), waited=1.0, closes=False) is None
    interval = counts.begun(shapes(4), waited=0.5, closes=True)
    assert counts.done(10.0, None) == {"time/step": 2.0}  # begun at 10, done at 12
    values = counts.done(11.0, interval)  # begun before the one before it was done
    assert values == {
        "time/step": 2.0,
        "clips_per_second_per_chip": 12 / 4,
        "model_flops_utilization": 50 * 12 / 4 / 1e3,
        "time/data_share": 1.5 / 4,
        "peak_bytes": pytest.approx(7e9),
    }
    # Between steps there was something else, such as an evaluation.
    assert counts.done(19.0, counts.begun(shapes(4), waited=0.0, closes=True))["time/step"] == 1.0


def test_what_a_backend_does_not_tell_is_not_written():
    counts = Throughput(tiny_run.get_config("videos"), make_mesh(MeshConfig(), jax.devices()[:1]))
    values = counts.done(time.perf_counter(), counts.begun(shapes(8), waited=0.0, closes=True))
    assert values.keys() == {"time/step", "clips_per_second_per_chip", "time/data_share"}
    assert all(map(math.isfinite, values.values()))


def test_each_host_is_seen_and_the_worst_one_counts(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", iter([10.0]).__next__)
    counts = Throughput(tiny_run.get_config("videos"), make_mesh(MeshConfig(), jax.devices()[:1]))
    monkeypatch.setattr(counts, "_rows", lambda rows: {0: np.array([1.0, 5e9]), 1: np.array([4.0, 6e9])})
    values = counts.done(2.0, counts.begun(shapes(8), waited=0.0, closes=True))
    assert values["time/data_share"] == values["hosts/data_share/001"] == 0.5 > values["hosts/data_share/000"]
    assert values["peak_bytes"] == values["hosts/peak_bytes/001"] == 6e9 > values["hosts/peak_bytes/000"]
