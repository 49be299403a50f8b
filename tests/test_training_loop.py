# SPDX-License-Identifier: Apache-2.0
"""The same command again goes on where it was cut off, bit for bit; and the number of devices changes nothing."""

import json
import random
import signal
import subprocess
import time

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P
from run_cases import STEPS, bits, finish, losses, records, start, start_hosts, steps_of, until

import sam2_jax
from train.__main__ import main
from train.loop import NonFiniteLoss, _read, _Step
from train.sharding import AXES, parameter_shardings


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    finish(start(workdir))
    return workdir


def test_a_run_leaves_metrics_and_checkpoints_that_load(whole):
    assert [record["step"] for record in records(whole)] == list(range(1, STEPS + 1))
    assert all(np.isfinite(losses(whole)))
    assert steps_of(whole) == [4, 5]  # every second one and the last; two are kept
    model, params = sam2_jax.load(whole / "checkpoints/5")
    assert model.config.name == "tiny_run" and "memory_attention" in params
    assert json.loads((whole / "config.json").read_text())["steps"] == STEPS
    assert list((whole / "tensorboard").iterdir())


def test_a_run_that_was_asked_to_end_ends_as_if_nothing_had_been(whole, tmp_path):
    process = start(tmp_path)
    until(tmp_path, 1, process)
    process.send_signal(signal.SIGTERM)
    said = finish(process, code=75)
    saved = steps_of(tmp_path)[-1]
    assert f"step {saved} is saved" in said
    assert f"going on from step {saved}" in finish(start(tmp_path))
    assert bits(tmp_path, STEPS) == bits(whole, STEPS)
    assert losses(tmp_path) == losses(whole)


@pytest.mark.slow
def test_a_run_whose_steps_are_traced_is_the_same(whole, tmp_path):
    finish(start(tmp_path, arguments=["--profile", "2:2"]))
    folder = tmp_path / "profile/plugins/profile/step_2"
    assert all(file.name.startswith("process_000.") for file in folder.iterdir())
    (trace,) = folder.glob("*.xplane.pb")
    assert trace.stat().st_size > 1000 and not (whole / "profile").exists()
    assert bits(tmp_path, STEPS) == bits(whole, STEPS)
    assert losses(tmp_path) == losses(whole)


def test_bad_input_is_one_sentence_and_exit_code_2(whole, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")

    def answer(workdir, text):
        assert main(["tests/tiny_run.py:pictures", "--workdir", str(workdir), "--set", text]) == 2
        return capsys.readouterr().err

    for text, sentence in {
        "optimizer.lr=1": "The config has no field 'optimizer.lr'; the nearest is",
        "init_from=/absent.pt": "/absent.pt does not exist",
        "data.entries.0.source=/absent": "There is no folder or file /absent.",
        "mesh.fsdp=3": "mesh.data=-1 and mesh.fsdp=3 do not make up the",
        "checkpoints.keep_last=1000000000": "GB free; expected at least",
    }.items():
        assert sentence in answer(tmp_path, text)
    said = answer(whole, "model.hidden_dim=64")
    assert "is a checkpoint of another model than this run's: its hidden_dim is 32, and here 64" in said
    said = answer(whole, "optimizer.frozen=memory_encoder.*")
    assert "does not hold a state of this run's optimizer, or is damaged" in said


def test_a_loss_that_is_not_finite_ends_the_run_and_its_clips_are_written_down(tmp_path):
    batch = {"frames": np.zeros((2, 1, 4, 4, 3), np.uint8), "video": np.array([3, 5])}
    step = _Step(7, {"loss": np.float32("nan"), "gradient_norm": np.float32(1)}, batch, began=0.0, waited=0.0)
    with pytest.raises(NonFiniteLoss, match="The loss of step 7 is nan"):
        _read(step, None, None, tmp_path)
    (file,) = tmp_path.glob("not_finite_step_7_process_0.json")
    assert json.loads(file.read_text())["clips"] == {"video": [3, 5]}


@pytest.mark.slow
def test_a_run_that_diverges_saves_nothing_that_is_not_finite(tmp_path):
    said = finish(start(tmp_path, sets=["optimizer.learning_rate=1e30", "optimizer.warmup_steps=0"]), code=3)
    (file,) = tmp_path.glob("not_finite_step_*.json")
    assert str(file) in said
    assert all(step < json.loads(file.read_text())["step"] for step in steps_of(tmp_path))


def test_the_largest_axis_that_can_be_divided_is():
    mesh = AbstractMesh((2, 4), AXES)
    shapes = {(256, 1024): P(None, "fsdp"), (1024, 256): P("fsdp", None), (512, 512): P(None, "fsdp")}
    shapes |= {(1023, 256): P(None, "fsdp"), (1023, 257): P(), (64,): P(), (): P()}
    tree = {shape: jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes}
    assert {shape: sharding.spec for shape, sharding in parameter_shardings(mesh, tree).items()} == shapes


def mesh_losses(folder, kind, sizes) -> list[list[float]]:
    results = []
    for devices, fsdp in sizes:
        workdir = folder / f"{devices}_{fsdp}"
        finish(start(workdir, kind, [f"mesh.fsdp={fsdp}"], devices))
        results.append(losses(workdir))
        assert len(results[-1]) == STEPS
    return results


@pytest.mark.slow
def test_a_divided_run_has_the_losses_of_an_undivided_one(whole, tmp_path):
    (divided,) = mesh_losses(tmp_path, "pictures", [(8, 4)])
    np.testing.assert_allclose(divided, losses(whole), rtol=1e-4)
    # Its checkpoint is read by any other number of devices.
    said = finish(start(tmp_path / "8_4", sets=["steps=6"]))
    assert "going on from step 5 of 6" in said


@pytest.mark.slow
def test_every_mesh_has_the_same_losses_on_clips(tmp_path):
    one, *others = mesh_losses(tmp_path, "videos", [(1, 1), (8, 1), (8, 4), (8, 8)])
    for other in others:
        np.testing.assert_allclose(other, one, rtol=1e-4)


@pytest.mark.slow
def test_a_batch_in_parts_has_the_losses_of_a_whole_one(tmp_path):
    """With masks for prompts, which are not drawn."""
    for parts in (1, 4):
        sets = ["user.mask_probability=1", f"optimizer.microbatches={parts}"]
        finish(start(tmp_path / str(parts), "videos", sets))
    np.testing.assert_allclose(losses(tmp_path / "4"), losses(tmp_path / "1"), rtol=1e-4)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    (one,) = mesh_losses(tmp_path, "videos", [(2, 1)])
    for process in start_hosts(tmp_path / "two", "videos"):
        finish(process)
    np.testing.assert_allclose(losses(tmp_path / "two"), one, rtol=1e-4)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_hosts_as_if_nothing_had_been(tmp_path):
    """From two hosts to one and back, always with two devices in all."""
    last, moved = 40, tmp_path / "moved"
    steps = [f"steps={last}"]
    finish(start(tmp_path / "undisturbed", "pictures", steps, devices=2))

    def go_on(*processes: subprocess.Popen) -> int:
        """Until another step is done; returns the last one."""
        until(moved, (steps_of(moved)[-1] if (moved / "checkpoints").exists() else 0) + 1, processes[0])
        processes[0].send_signal(signal.SIGTERM)
        assert all("the same command goes on from there" in finish(process, code=75) for process in processes)
        return steps_of(moved)[-1]

    first = go_on(*start_hosts(moved, "pictures", steps))
    second = go_on(start(moved, "pictures", steps, devices=2))
    for process in start_hosts(
        moved, "pictures", steps, arguments=["--profile", "2:2"]
    ):  # behind the step that compiles
        assert f"going on from step {second} of {last}" in finish(process)
    assert bits(moved, last) == bits(tmp_path / "undisturbed", last)
    assert losses(moved) == losses(tmp_path / "undisturbed")
    traces = moved.glob(f"profile/plugins/profile/step_{second + 2}/*.xplane.pb")
    assert {file.name.partition(".")[0] for file in traces} == {"process_000", "process_001"}
    # Each host is seen where there are several.
    seen = [len({"hosts/data_share/000", "hosts/data_share/001"} & record.keys()) for record in records(moved)]
    assert seen == [2] * first + [0] * (second - first) + [2] * (last - second)


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(whole, tmp_path):
    moments = random.Random(0)
    for _ in range(10):
        process = start(tmp_path)
        until(tmp_path, moments.randint(1, STEPS), process)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.communicate()
        for step in steps_of(tmp_path) if (tmp_path / "checkpoints").exists() else ():
            assert bits(tmp_path, step)  # whatever is visible is whole
    finish(start(tmp_path))
    assert bits(tmp_path, STEPS) == bits(whole, STEPS)
    assert losses(tmp_path) == losses(whole)
