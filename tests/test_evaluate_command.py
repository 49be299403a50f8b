# SPDX-License-Identifier: Apache-2.0
"""The command `evaluate`: runs that stop go on, a bad video loses nobody else's results, mistakes get one sentence."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation_cases import Answers, Discs
from small import small_model

import sam2_jax
from sam2_jax.evaluation import model_session
from sam2_jax.evaluation.corrections import Correction
from sam2_jax.media import read_picture
from scripts.evaluations import images as images_command
from scripts.evaluations import running
from scripts.evaluations.compare import compare
from scripts.evaluations.corrections import corrections
from scripts.evaluations.davis import davis
from scripts.evaluations.davis_official import clicks_of, davis_official, interactions_of
from scripts.evaluations.images import images
from scripts.evaluations.interactive import offline, online
from scripts.evaluations.running import RunArguments
from scripts.evaluations.score import score
from scripts.evaluations.vos import vos


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small"
    sam2_jax.save(path, *small_model())
    return path


class World:
    """What the commands find: a source, and a model that answers what it is told to; it counts the clips it was on."""

    def __init__(self):
        self.source, self.answer, self.clips = Discs(), lambda truth: truth, []

    def session(self, model, params, clip, **_):
        self.clips.append(clip.name)
        return Answers(self.answer, clip)


@pytest.fixture
def world(monkeypatch):
    world = World()
    monkeypatch.setattr("data.sources.open_source", lambda spec: world.source)
    monkeypatch.setattr(model_session, "ModelSession", world.session)
    return world


@pytest.fixture
def run(weights, tmp_path):
    return lambda name="out", **changes: RunArguments("discs", tmp_path / name, weights, **changes)


def test_vos_writes_masks_scores_and_pictures(world, run):
    told = vos(run(by=("weather",)))
    assert told["metrics"]["J&F"] == 100 and told["objects"] == 9 and not told["failed"]
    assert told["by"]["weather"] == {"rain": (100.0, 6), "sun": (100.0, 3)}
    out = run().out
    assert told == json.loads((out / "summary.json").read_text(), parse_constant=float) | {"by": told["by"]}
    rows = list(csv.DictReader((out / "objects.csv").open()))
    assert [(row["video"], row["object"]) for row in rows[:3]] == [("disc_0", "3"), ("disc_0", "5"), ("disc_0", "9")]
    assert rows[0]["J&F"] == "100.0" and rows[0]["colour"] == "red" and rows[1]["disappears"] == "yes"
    assert len(list((out / "masks" / "disc_1").iterdir())) == world.source.length
    assert read_picture(out / "worst.png").shape[2] == 3


def test_baselines_and_corrections_say_what_they_need(world, run):
    told = vos(run("still"), baseline="first-mask")
    assert told["metrics"]["J&F"] < 100 and not told["paper"]
    with pytest.raises(ValueError, match="--baseline colours starts from masks; expected --prompt mask, not box"):
        vos(run("box"), prompt="box", baseline="colours")
    with pytest.raises(ValueError, match="No object of discs was lost, so nothing was corrected"):
        corrections(run("corrections"))


def test_a_correction_counts_apart_where_the_object_would_have_stayed_lost(world, run, monkeypatch):
    found = [Correction(3, 0.2, 0.8), Correction(3, 0.9, 0.85), None]
    monkeypatch.setattr("sam2_jax.evaluation.corrections.correct", lambda *_: found)
    metrics = corrections(run())["metrics"]
    assert metrics["gain"] == pytest.approx(27.5)
    assert metrics["stay lost"] == len(world.source) and metrics["gain of these"] == pytest.approx(60)


def test_what_is_written_scores_what_the_run_says(world, run, tmp_path, capsys):
    world.answer = lambda truth: np.roll(truth, 5, axis=2)
    told = vos(run())
    world.answer = lambda truth: truth
    vos(run("truth"))
    score(run().out / "masks", run("truth").out / "masks", processes=1, json=True)
    assert json.loads(capsys.readouterr().out)["J&F"] == pytest.approx(told["metrics"]["J&F"], abs=1e-9)


def test_a_run_that_was_stopped_goes_on_to_the_same_end(world, run):
    world.answer = lambda truth: np.roll(truth, 3, axis=1)
    whole = offline(run("whole"), rounds=2)
    offline(run(most_videos=1), rounds=2)
    assert world.clips == ["disc_0", "disc_1", "disc_2", "disc_0"]
    again = offline(run(), rounds=2)
    assert world.clips[4:] == ["disc_1", "disc_2"]
    assert again == whole
    assert offline(run(), rounds=2) == whole and len(world.clips) == 6
    for part in ("0/2", "1/2"):
        of_parts = offline(run("parts", part=part), rounds=2)
    assert of_parts["metrics"] == whole["metrics"] and world.clips[6:] == ["disc_0", "disc_2", "disc_1"]


def test_a_run_that_goes_on_opens_only_the_videos_that_are_not_done(world, run, monkeypatch):
    whole = offline(run(), rounds=2)
    opened, video = [], world.source.video
    monkeypatch.setattr(world.source, "video", lambda index: (opened.append(index), video(index))[1])
    assert offline(run(), rounds=2) == whole and opened == []
    (run().out / "videos" / "disc_1.json").unlink()
    assert offline(run(), rounds=2) == whole and opened == [1]


def test_a_folder_holds_one_run(world, run):
    offline(run(), rounds=2)
    with pytest.raises(ValueError, match=r"out holds a run with rounds 2, and this one has 3; give another --out"):
        offline(run(), rounds=3)
    with pytest.raises(ValueError, match="holds a run with protocol 'offline', and this one has 'online'"):
        online(run(), rounds=2)
    with pytest.raises(ValueError, match="--part is '2/2'; expected I/N"):
        online(run("other", part="2/2"))


def test_a_bad_video_is_named_and_the_others_stay(world, run):
    world.source = Discs(count=3, broken=(1,))
    with pytest.raises(
        ValueError, match=r"1 video\(s\) failed .* the first of them disc_1: The file of video 1 is dam"
    ):
        vos(run())
    told = json.loads((run().out / "summary.json").read_text())
    assert told["objects"] == 6 and list(told["failed"]) == ["disc_1"]
    world.source = Discs(count=3)
    assert vos(run())["objects"] == 9 and world.clips == ["disc_0", "disc_2", "disc_1"]

    def bad_frames(index, frames):
        raise OSError(f"frame {frames[0]} cannot be read")

    world.source.frames = bad_frames
    with pytest.raises(ValueError, match="No video was evaluated: OSError: frame 1 cannot be read"):
        vos(run("unreadable"))


def test_interactive_runs_draw_accuracy_over_rounds_and_time(world, run):
    world.answer = np.zeros_like
    for protocol in (offline, online):
        told = protocol(run(protocol.__name__), rounds=3)
        x, accuracy = told["curves"]["frames clicked on"]
        assert x == [1, 2, 3] and len(accuracy) == 3
        assert told["metrics"]["J&F"] == pytest.approx(np.mean(accuracy))
        for name in ("accuracy_over_rounds", "accuracy_over_time", "worst"):
            assert read_picture(run(protocol.__name__).out / f"{name}.png").size
    # 11 frames: 1.1 s to examine, 1 s to find, 3 clicks of 1.5 s.
    assert told["curves"]["seconds of annotation"][0] == pytest.approx([1.1 + 5.5, 1.1 + 11, 1.1 + 16.5])


def test_davis_tells_area_and_time(world, run):
    told = davis(run(), interactions=2)
    assert told["metrics"]["R-AUC-J&F"] == pytest.approx(0.75)  # from nothing to everything in the first of two
    assert told["metrics"]["J&F@60s"] == 1 and told["metrics"]["AUC-J&F"] > 0.99
    assert told["objects"] == 9


def test_images_tell_miou_after_each_click(world, run, monkeypatch):
    class Better:
        def __init__(self, *_):
            pass

        def __call__(self, pictures, truth, clicks):
            ious = np.linspace(0.2, 1, clicks)
            return [(np.tile(ious, (len(masks), 1)), np.where(masks, 1.0, -1.0)) for masks in truth]

    monkeypatch.setattr("sam2_jax.evaluation.images.SAM2OnPictures", Better)
    assert images_command.images is images
    told = images(run(), clicks=5, every=4)
    scores = [told["metrics"][f"mIoU {n} click{'s' if n > 1 else ''}"] for n in range(1, 6)]
    assert scores == pytest.approx([20, 40, 60, 80, 100])
    assert told["objects"] == 3 * (2 + 2 + 3)  # on frames 0, 4 and 8 of 3 videos; an object is out of sight on two


def test_two_runs_are_compared(world, run, capsys):
    vos(run("good"))
    world.answer = lambda truth: np.roll(truth, 4, axis=2)
    vos(run("bad"))
    told = compare(run("bad").out, run("good").out)
    assert told["J&F"]["second"] == 100 and told["J&F"]["low"] > 0
    assert told["J&F"]["rows"] == 9
    offline(run("offline"), rounds=1)
    with pytest.raises(ValueError, match=r"bad holds a run of vos, .*offline one of offline; expected one protocol"):
        compare(run("bad").out, run("offline").out)
    with pytest.raises(FileNotFoundError, match=r"nothing holds no finished run; there is no run.json in it"):
        compare(run("bad").out, Path("nothing"))


def test_unknown_layouts_are_named_with_exit_code_2(tmp_path, weights, monkeypatch, capsys):
    from scripts.command import run_one_of

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("?")
    words = ["vos", "--data", str(tmp_path / "data"), "--weights", str(weights), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    with pytest.raises(SystemExit) as stopped:
        run_one_of("evaluate", {"vos": vos, "score": score})
    assert stopped.value.code == 2
    assert "is not known. It holds notes.txt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_synthetic_sets_are_the_held_out_ones():
    assert running.open_data("synthetic").name == "synthetic_held_out"
    assert len(running.open_data("synthetic", pictures=True).video(0).annotated) == 1


def test_the_official_robots_scribbles_become_clicks():
    line = [[0.1, 0.5], [0.2, 0.5], [0.9, 0.5]]
    dot = [[0.5, 0.0]]
    scribbles = [[], [{"object_id": 1, "path": line}, {"object_id": 2, "path": dot}, {"object_id": 0, "path": dot}], []]
    frame, clicks = clicks_of(scribbles, (11, 101))
    assert frame == 1 and list(clicks) == [1, 2]
    points, labels = clicks[1]
    np.testing.assert_allclose(points, [[20, 5], [50, 0], [50, 0]], atol=1e-4)  # the point nearest to the middle
    assert labels.tolist() == [1, 0, 0]


def test_the_official_report_becomes_interactions():
    rows = [
        dict(
            sequence="bear", scribble_idx=1, interaction=i, object_id=o, frame=f, j_and_f=i / 4 + f / 10, timing=2.0 * i
        )
        for i in (2, 1)
        for o in (1, 2)
        for f in (0, 1)
    ]
    (clip,) = interactions_of(rows)
    np.testing.assert_allclose(clip.j_and_f, [[0.3, 0.3], [0.55, 0.55]])
    assert clip.seconds.tolist() == [2, 4]


def test_a_missing_toolkit_is_named(tmp_path, weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "davisinteractive", None)
    with pytest.raises(FileNotFoundError, match="expected DAVIS 2017 with its scribbles"):
        davis_official(tmp_path, weights, tmp_path / "out")
    for folder in ("JPEGImages", "Annotations", "Scribbles"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=r"davisinteractive cannot be imported .* The protocol davis needs none of it"):
        davis_official(tmp_path, weights, tmp_path / "out")
