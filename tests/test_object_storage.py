# SPDX-License-Identifier: Apache-2.0
"""A bucket is as good as a disk: training, weights, prepared data and evaluation, against an emulator of Cloud Storage.

The runs are small; the emulator (tests/bucket.py) is a process of its own. Nothing leaves this machine.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dataset_cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bucket import BUCKET, emulator
from etils import epath
from run_cases import ROOT, bits, finish, losses, start
from small import small_model
from tensorboardX.proto.event_pb2 import Event
from test_evaluate_command import World

import sam2_jax
from data.prepared.builders import PreparedVideos
from data.prepared.shards import prepare
from data.sources import open_source
from sam2_jax.checkpoints import torch_file
from sam2_jax.checkpoints.names import from_published
from sam2_jax.evaluation import model_session
from sam2_jax.media import read_picture, write_mask, write_picture
from sam2_jax.media.files import replacing
from sam2_jax.media.videos import VideoWriter, open_video
from scripts.convert_weights import convert_weights
from scripts.evaluations.compare import compare
from scripts.evaluations.running import RunArguments
from scripts.evaluations.vos import vos
from train.__main__ import main
from train.initialization import initial_params

STEPS = 5
COMPILED = jax.config.jax_compilation_cache_dir  # of all tests; otherwise a run would compile anew for each bucket


@pytest.fixture(scope="module", autouse=True)
def _bucket():
    with emulator() as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.setenv("JAX_COMPILATION_CACHE_DIR", COMPILED)
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
        yield


@pytest.fixture(autouse=True)
def _no_folder_is_called_gs():
    yield
    for folder in (Path.cwd(), ROOT):
        assert not list(folder.glob("gs:*"))


@pytest.fixture
def place(request):
    """A place in the bucket for this test alone."""
    return epath.Path(BUCKET) / request.node.name.replace("[", "_").replace("]", "")


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Training


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run on a disk that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    finish(start(workdir))
    return workdir


def until_saved(workdir, step: int, process: subprocess.Popen) -> None:
    """Waits until a checkpoint is complete, while the run goes on."""
    while not (workdir / "checkpoints" / str(step) / "commit_success.txt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def read_metrics(workdir) -> list[dict]:
    lines = [line for part in sorted((workdir / "metrics").glob("*")) for line in part.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_killed_run_in_a_bucket_ends_as_an_undisturbed_one_on_a_disk(undisturbed, place):
    process = start(place)
    until_saved(place, 2, process)
    process.kill()
    finish(process, code=-signal.SIGKILL)
    said = finish(start(place))
    assert "going on from step" in said
    assert bits(str(place), STEPS) == bits(undisturbed, STEPS)
    records = read_metrics(place)
    assert [record["step"] for record in records] == list(range(1, STEPS + 1))
    assert [record["loss"] for record in records] == losses(undisturbed)
    assert json.loads((place / "config.json").read_text())["steps"] == STEPS
    assert names(place / "checkpoints") == {"4", "5"}  # nothing is left of one that was cut short


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_as_an_undisturbed_run(undisturbed, tmp_path, place):
    def both(workdir):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"localhost:{free.getsockname()[1]}"
        arguments = ["--coordinator", address, "--processes", "2", "--process"]
        return [start(workdir, arguments=[*arguments, str(process)]) for process in range(2)]

    for process in both(tmp_path / "disk"):
        finish(process)
    first, second = both(place)
    until_saved(place, 2, first)
    second.kill()
    for process in (first, second):
        process.communicate(timeout=550)
        assert process.returncode != 0
    for process in both(place):
        assert "going on from step" in finish(process)
    assert bits(str(place), STEPS) == bits(tmp_path / "disk", STEPS)
    assert [record["step"] for record in read_metrics(place)] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([record["loss"] for record in read_metrics(place)], losses(undisturbed), rtol=1e-4)


def events(folder) -> list[Event]:
    """All events of TensorBoard's files, in their order."""
    found = []
    for file in sorted(folder.iterdir(), key=lambda path: path.name):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


KILLED = """
import os, sys
from sam2_jax.media.paths import as_path
from train.run_log import RunLog

log = RunLog(as_path(sys.argv[1]), 0)
for step in range(1, 5):
    log.write(step, {"loss": 10.0 + step})
    if step in (2, 3):
        log.end_part()
log._lines.flush()  # as every half minute
os._exit(0)
"""


def test_metrics_and_events_are_whole_after_a_start_that_was_killed(place):
    from train.run_log import RunLog, read_metrics

    subprocess.run([sys.executable, "-c", KILLED, str(place)], cwd=ROOT, check=True, timeout=120)
    assert [record["step"] for record in read_metrics(place)] == [1, 2, 3, 4]
    log = RunLog(place, 2)
    assert [record["step"] for record in read_metrics(place)] == [1, 2]
    for step in range(3, 6):
        log.write(step, {"loss": float(step)})
        log.show(step, "image", np.zeros((4, 4, 3), np.uint8))
        if step == 4:
            log.end_part()
    log.close()
    losses = {1: 11, 2: 12, 3: 3, 4: 4, 5: 5}
    assert [(record["step"], record["loss"]) for record in read_metrics(place)] == list(losses.items())
    written = events(place / "tensorboard")
    values = [(event.step, value) for event in written for value in event.summary.value]
    assert {step: value.simple_value for step, value in values if value.tag == "loss"} == losses
    assert [step for step, value in values if value.tag == "image"] == [3, 4, 5]
    # TensorBoard drops what was said before this of later steps.
    assert [event.step for event in written if event.session_log.status == event.session_log.START] == [1, 3]


def test_a_run_in_a_bucket_keeps_its_compiled_programs_there(place):
    code = """
import sys, jax, jax.numpy as jnp, train.__main__ as trainer
def compile_something(config, workdir, profiled):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.jit(lambda x: jnp.tanh(x @ x).sum())(jnp.ones((64, 64))).block_until_ready()
trainer.train = compile_something
sys.exit(trainer.main(["tests/tiny_run.py:pictures", "--workdir", sys.argv[1]]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": "tests"}
    run = subprocess.run([sys.executable, "-c", code, str(place)], cwd=ROOT, env=environment, timeout=120)
    assert run.returncode == 0
    assert any(name.endswith("-cache") for name in names(place / "compiled"))


# Weights


def test_weights_go_in_and_out_of_a_bucket_in_every_format(place, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model, params = small_model()
    sam2_jax.save(str(place / "orbax"), model, params)
    with pytest.raises(FileExistsError, match=f"{place}/orbax exists already"):
        sam2_jax.save(str(place / "orbax"), model, params)
    assert same(sam2_jax.load(str(place / "orbax")), (model, params))
    # A path that pathlib has taken a slash from, as it comes from a command line.
    assert same(sam2_jax.load(Path(str(place / "orbax"))), (model, params))
    for destination in ("small.pt", "small.safetensors"):
        convert_weights(Path(str(place / "orbax")), Path(str(place / destination)))
    state = torch_file.read(str(place / "small.pt"))
    assert same((model, from_published(model, state, "bucket")), (model, params))
    convert_weights(Path(str(place / "small.safetensors")), Path(str(place / "halved")))
    halved = jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(jnp.float32), params)
    assert same((model, initial_params(model, str(place / "halved"), 0)), (model, halved))
    assert names(place) == {"orbax", "small.safetensors", "halved", "small.pt"}
    with pytest.raises(FileExistsError, match=r"small.pt exists already"):
        convert_weights(Path(str(place / "orbax")), Path(str(place / "small.pt")))
    with pytest.raises(FileNotFoundError, match=f"{place}/absent.pt does not exist"):
        sam2_jax.load(str(place / "absent.pt"))
    assert not list(tmp_path.iterdir())
    (place / "orbax/commit_success.txt").unlink()  # it is written last
    with pytest.raises(sam2_jax.CheckpointError, match="orbax is not a readable Orbax checkpoint"):
        sam2_jax.load(str(place / "orbax"))


def same(ours, theirs) -> bool:
    """Whether two models and their parameters are equal."""
    equal = jax.tree.map(lambda a, b: np.array_equal(a, b), ours[1], theirs[1])
    return ours[0] == theirs[0] and jax.tree.all(equal)


def test_images_masks_and_videos_are_written_to_a_bucket(place, tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    for folder in (str(place), str(tmp_path)):
        write_picture(f"{folder}/image.png", frames[0])
        write_mask(f"{folder}/mask.png", frames[0, ..., 0] > 99)
        with VideoWriter(f"{folder}/video.mp4", 24, 48, 64) as writer:
            for frame in frames:
                writer.write(frame)
    assert names(place) == {"image.png", "mask.png", "video.mp4"}
    for name in names(place):
        assert (place / name).read_bytes() == (tmp_path / name).read_bytes()
    with contextlib.suppress(KeyboardInterrupt), replacing(place / "interrupted") as file:
        file.write(b"a half")
        raise KeyboardInterrupt
    assert not (place / "interrupted").exists()
    with pytest.raises(ValueError, match=r"The video is gs://.*; expected a path on this machine"):
        open_video(str(place / "video.mp4"))


# Data


def test_prepared_data_is_read_from_a_bucket_as_from_a_disk(place, tmp_path):
    source = open_source(dataset_cases.sa_v(tmp_path / "raw").spec)
    builder = PreparedVideos(source, data_dir=tmp_path, name="own", videos_per_shard=1)
    prepare(builder, workers=2)
    local = Path(builder.data_dir)
    for file in local.rglob("*"):
        if file.is_file():
            (place / file.relative_to(local)).write_bytes(file.read_bytes())
    here, there = open_source(str(local)), open_source(str(place))
    assert len(open_source(f"prepared:{place}?split=train")) == len(there) == len(here)
    assert there._facts is not None
    for index in range(len(here)):
        video = here.video(index)
        assert there.video(index) == video
        np.testing.assert_array_equal(there.frames(index, [0, 1]), here.frames(index, [0, 1]))
        np.testing.assert_array_equal(there.masks(index, video.annotated), here.masks(index, video.annotated))
    with pytest.raises(ValueError, match="is in a bucket and holds no prepared data"):
        open_source(f"sa_v:{place}")
    with pytest.raises(ValueError, match=f"There is no folder or file {place}/absent"):
        open_source(f"{place}/absent")
    into = PreparedVideos(source, data_dir=str(place / "new"), name="own")
    with pytest.raises(ValueError, match="is in a bucket, where data are read but not prepared"):
        prepare(into)


# Evaluation


def test_an_evaluation_writes_to_a_bucket_and_goes_on_there(place, tmp_path, monkeypatch):
    world = World()
    monkeypatch.setattr("data.sources.open_source", lambda spec: world.source)
    monkeypatch.setattr(model_session, "ModelSession", world.session)
    weights = place / "weights"
    sam2_jax.save(str(weights), *small_model())
    expected = vos(RunArguments("discs", tmp_path / "out", Path(str(weights))))
    run = RunArguments("discs", Path(str(place / "out")), Path(str(weights)), most_videos=1)
    vos(run)
    world.clips.clear()
    told = vos(RunArguments("discs", Path(str(place / "out")), Path(str(weights))))
    assert told == expected and world.clips == ["disc_1", "disc_2"]
    local = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    found = {os.path.relpath(root / name, "bucket") for root, _, files in (place / "out").walk() for name in files}
    assert {os.path.relpath(name, f"{place.name}/out") for name in found} == local
    assert (place / "out/objects.csv").read_bytes() == (tmp_path / "out/objects.csv").read_bytes()
    there = read_picture(str(place / "out/worst.png"))
    np.testing.assert_array_equal(there, read_picture(tmp_path / "out/worst.png"))
    assert compare(Path(str(place / "out")), tmp_path / "out")["J&F"]["difference"] == 0
    sam2_jax.save(str(weights / "more"), *small_model())  # trained a little longer, at the same place
    with pytest.raises(ValueError, match=f"{place}/out holds a run with written"):
        vos(run)


# Mistakes


def test_a_scheme_that_is_not_there_is_one_sentence_and_exit_code_2(capsys, monkeypatch):
    def said(workdir):
        assert main(["tests/tiny_run.py:pictures", "--workdir", workdir]) == 2
        return capsys.readouterr().err

    monkeypatch.setenv("COLUMNS", "500")
    assert "ftp://host/run has the scheme ftp; expected a local path, gs:// (pip install" in said("ftp://host/run")
    assert "s3://bucket/run needs s3fs, which is not installed: pip install s3fs." in said("s3://bucket/run")
    assert "gs://absent/run cannot be written to (FileNotFoundError: " in said("gs://absent/run")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert 'gs://bucket/run needs gcsfs, which is not installed: pip install "sam2-jax[gcs]".' in said(
        "gs://bucket/run"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "vos", "--data", "synthetic", "--most-videos", "1", "--out"],
        ["convert_weights", "nano"],
        ["inspect_data", "synthetic:training_videos", "--n", "1", "--image-size", "64", "--count", "1", "--out"],
        ["draw_curves", "--out", "curves.png"],
    ],
    ids=lambda command: command[0],
)
def test_commands_refuse_a_scheme_that_is_not_there(command, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "500"}
    words = [sys.executable, "-m", f"scripts.{command[0]}", *command[1:], "ftp://host/out"]
    answer = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 2, answer.stderr
    assert "error: ftp://host/out has the scheme ftp; expected a local path" in answer.stderr
    assert not list(tmp_path.iterdir())
