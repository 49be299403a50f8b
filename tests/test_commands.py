# SPDX-License-Identifier: Apache-2.0
"""Every command works as its help says, and answers bad input with one sentence and exit code 2."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from command_line import ROOT, run, run_process
from PIL import Image
from small import small_model

import sam2_jax
from sam2_jax import media
from sam2_jax.media.videos import VideoWriter, open_video
from scripts.demo import demo
from scripts.draw_curves import draw_curves


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small"
    sam2_jax.save(path, *small_model())
    return path


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "name",
    ["demo", "segment_image", "segment_video", "convert_weights", "benchmark", "prepare_dataset", "inspect_data"],
)
def test_every_command_has_help(name):
    answer = run_process(f"scripts.{name}", "--help")
    assert answer.returncode == 0 and f"python -m scripts.{name}" in answer.stdout


def test_a_reader_that_leaves_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scripts.inspect_data", "--help"]
    answer = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_broken_pipe_that_is_not_the_readers_is_an_error():
    code = "from scripts.command import _answer\ndef call(): raise BrokenPipeError('a process is gone')\n_answer(call)"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1 and "a process is gone" in answer.stderr


def test_the_demo_needs_nothing(tmp_path):
    answer = run("scripts.demo", "--out", tmp_path / "demo")
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(r"J&F +[\d.]+  tracked from one click\nJ&F +[\d.]+  its first mask.*\n", answer.stdout)
    assert open_video(tmp_path / "demo/overlay.mp4").length == 24
    with Image.open(tmp_path / "demo/overlay.gif") as shown:
        assert (shown.n_frames, shown.size) == (24, (512, 256))
    answer = run("scripts.demo", "--number", "100")
    assert answer.returncode == 2 and "--number is 100; expected 0 to 99." in answer.stderr


def test_the_demo_takes_a_picture_or_a_video_of_yours(picture, tmp_path):
    demo(picture, out=tmp_path / "picture")
    (report,) = (tmp_path / "picture").glob("scores.json")
    assert len(json.loads(report.read_text())["masks"]) == 3
    with VideoWriter(tmp_path / "video.mp4", 24, 48, 64) as writer:
        for frame in np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8):
            writer.write(frame)
    for _ in range(2):  # the second replaces what the first left
        demo(tmp_path / "video.mp4", point="5,40", out=tmp_path / "video")
    assert len(list((tmp_path / "video/masks").iterdir())) == 3


def test_curves_of_runs_are_drawn_one_after_the_other(tmp_path):
    for run_, j in (("first", "j/last_click"), ("second", "j/tracked")):
        (tmp_path / run_).mkdir()
        values = [{"step": step, "loss/dice": 1 / step, j: None if step == 1 else 0.5} for step in range(1, 4)]
        (tmp_path / run_ / "metrics.jsonl").write_text("\n".join(map(json.dumps, values)))
    draw_curves((tmp_path / "first", tmp_path / "second"), tmp_path / "curves.png")
    assert media.read_picture(tmp_path / "curves.png").shape[0] % 2 == 0
    with pytest.raises(FileNotFoundError, match=r"third/metrics.jsonl does not exist; expected the folder of a run"):
        draw_curves((tmp_path / "third",), tmp_path / "curves.png")


def test_segment_image_writes_masks_overlay_and_scores(picture, weights, tmp_path):
    out = tmp_path / "out"
    answer = run("scripts.segment_image", picture, "--point", "30,20", "--weights", weights, "--out", out, "--json")
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report == json.loads((out / "scores.json").read_text())
    assert [row["file"] for row in report["masks"]] == [f"object0_mask{i}.png" for i in range(3)]
    ious = [row["predicted_iou"] for row in report["masks"]]
    assert ious == sorted(ious, reverse=True)
    for row in report["masks"]:
        assert media.read_mask(out / row["file"]).sum() == row["area"]
    assert media.read_picture(out / "overlay.png").shape == (60, 80, 3)

    predictor = sam2_jax.SAM2ImagePredictor(*sam2_jax.load(weights))
    predictor.set_image(picture)
    masks, scores, _ = predictor.predict(np.array([[30, 20]]), np.array([1]))
    assert np.array_equal(media.read_mask(out / "object0_mask0.png"), masks[scores.argmax()] > 0)

    again = run("scripts.segment_image", picture, "--point", "30,20", "--weights", weights, "--out", out)
    assert again.returncode == 2 and "already" in again.stderr
    assert (out / "scores.json").read_text() == json.dumps(report, indent=2) + "\n"

    refined = run(
        *("scripts.segment_image", picture, "--mask", out / "object0_mask0.png", "--point", "5,5,0"),
        *("--box", "1,1,70,50", "--weights", weights, "--out", out, "--overwrite", "--json"),
    )
    assert refined.returncode == 0, refined.stderr
    assert len(json.loads(refined.stdout)["masks"]) == 1


def test_each_box_is_an_object(picture, weights, tmp_path):
    boxes = ("--box", "1,1,30,30", "--box", "20,20,70,50", "--box", "5,5,50,50")
    answer = run("scripts.segment_image", picture, *boxes, "--weights", weights, "--out", tmp_path / "out", "--json")
    assert [row["object"] for row in json.loads(answer.stdout)["masks"]] == [0, 1, 2]


BAD = {
    "no such picture": (["nothing.jpg", "--point", "1,1"], "nothing.jpg"),
    "a point that is none": (["PICTURE", "--point", "1;1"], "'1;1' is not a point: expected X,Y or X,Y,0 or X,Y,1"),
    "a point outside": (["PICTURE", "--point", "100,10"], "The point (100, 10) is outside the picture"),
    "no prompt": (["PICTURE"], "There is no prompt"),
    "a size that cannot be": (["PICTURE", "--point", "1,1", "--image-size", "100"], "a positive multiple of 32"),
    "a mask of another size": (["PICTURE", "--mask", "MASK"], "--mask is 9 x 8 pixels; expected those of the picture"),
    "an unknown option": (["PICTURE", "--pont", "1,1"], "--pont"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence_and_code_2(arguments, sentence, picture, weights, tmp_path):
    media.write_mask(tmp_path / "mask.png", np.ones((8, 9), bool))
    places = {"PICTURE": picture, "MASK": tmp_path / "mask.png"}
    arguments = [places.get(argument, argument) for argument in arguments]
    out = tmp_path / "out"
    answer = run("scripts.segment_image", *arguments, "--weights", weights, "--out", out)
    assert answer.returncode == 2
    assert sentence in answer.stderr and "Traceback" not in answer.stderr
    assert not out.exists()


def test_convert_weights_goes_there_and_back(tmp_path, weights):
    model, params = small_model()
    published = tmp_path / "small.pt"
    assert run("scripts.convert_weights", weights, published).returncode == 0
    expected = tmp_path / "expected.pt"
    sam2_jax.export_torch(expected, model, params)
    assert published.read_bytes() == expected.read_bytes()
    again = run("scripts.convert_weights", weights, published)
    assert again.returncode == 2 and "exists already" in again.stderr
    assert run("scripts.convert_weights", weights, published, "--overwrite").returncode == 0
    assert run("scripts.convert_weights", weights, tmp_path / "copy").returncode == 0
    assert sam2_jax.load(tmp_path / "copy")[0] == model


@pytest.mark.slow
def test_compiled_programs_are_kept_where_the_user_says_or_not_at_all(picture, weights, tmp_path):
    arguments = ("scripts.segment_image", picture, "--point", "30,20", "--weights", weights, "--out")
    # JAX itself keeps only what took a second to compile, which depends on the machine.
    here = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    run_process(*arguments, tmp_path / "a", **here)
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert any("encode_frames" in name for name in kept)
    run_process(*arguments, tmp_path / "b", **here)
    assert {name for name in {path.name for path in (tmp_path / "cache").iterdir()} if name.endswith("-cache")} == {
        name for name in kept if name.endswith("-cache")
    }
    off = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "off"), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    assert run_process(*arguments, tmp_path / "c", **off).returncode == 0
    assert not (tmp_path / "off").exists() or not any((tmp_path / "off").iterdir())


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "video.mp4"
    with VideoWriter(path, 24, 48, 64) as writer:
        for frame in np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), np.uint8):
            writer.write(frame)
    return path


@pytest.mark.parametrize("per_object", [False, True])
def test_segment_video_writes_masks_overlay_and_scores(per_object, video, weights, tmp_path):
    out = tmp_path / "out"
    objects = ("--object", "frame=0 point=30,20 point=5,5,0", "--object", "frame=3 box=10,10,40,30")
    arguments = ("scripts.segment_video", video, *objects, "--weights", weights, "--out", out)
    answer = run(*arguments, *(["--per-object"] if per_object else []))
    assert answer.returncode == 0, answer.stderr
    report = json.loads((out / "scores.json").read_text())
    assert [(row["frame"], row["object"]) for row in report["scores"]] == [(f, o) for f in range(6) for o in (1, 2)]
    written = sorted(str(path.relative_to(out / "masks")) for path in (out / "masks").rglob("*.png"))
    names = [f"{index:05d}.png" for index in range(6)]
    assert written == ([f"00{o}/{name}" for o in (1, 2) for name in names] if per_object else names)
    assert open_video(out / "overlay.mp4").length == 6
    again = run(*arguments)
    assert again.returncode == 2 and "already" in again.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("frame=9 point=1,1", "Frame 9 does not exist; the video has 6 frames"),
        ("frame=0", "has no prompt"),
        ("point=1", "'1' is not a point"),
        ("colour=red", "'colour=red' in --object is none of"),
        ("point=500,1", "outside the picture"),
    ],
)
def test_a_bad_object_gets_one_sentence(text, sentence, video, weights, tmp_path):
    arguments = ("--object", text, "--weights", weights, "--out", tmp_path / "out")
    answer = run("scripts.segment_video", video, *arguments)
    assert answer.returncode == 2
    assert sentence in answer.stderr.replace("\n", " ") and "Traceback" not in answer.stderr


@pytest.mark.slow
def test_benchmark_measures_with_and_without_the_pytorch_package():
    small = ("--model", "sam2.1_hiera_tiny", "--image-size", "128", "--runs", "1", "--json")
    answer = run_process(
        "scripts.benchmark", "image", *small, "--start", "--against-torch", "--torch-python", sys.executable
    )
    (row,) = json.loads(answer.stdout)
    assert row["encode"] > 0 and row["new process, compiled before"] > 0
    assert "encode torch" in row or "Without PyTorch's times" in answer.stderr
