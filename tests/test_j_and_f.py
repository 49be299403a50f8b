# SPDX-License-Identifier: Apache-2.0
"""J&F is the published evaluators', to the last digit that matters; on the device it is the host's."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from sam2_jax.evaluation import j_and_f_jit
from sam2_jax.evaluation.j_and_f import boundary, boundary_f, boundary_tolerance, j_and_f, jaccard, mean_iou
from sam2_jax.evaluation.masklets import (
    DAVIS_2017,
    SA_V,
    MaskletScore,
    Rules,
    score_video,
    statistics,
    summarize,
    summarize_seen_and_unseen,
)
from sam2_jax.evaluation.scoring import find_videos, score_videos
from sam2_jax.media import palette
from scripts.command import run_one_of
from scripts.evaluations.score import score

RECORDED = np.load(Path(__file__).parent / "recorded" / "j_and_f.npz")
SIZES = ["small", "wide", "square", "pixel", "row", "480p"]
VIDEOS = ["short", "longer", "longest"]
ALL_FRAMES = Rules(keep_first_and_last=True)


def recorded_masks(case: str) -> tuple[np.ndarray, np.ndarray]:
    shape = RECORDED[f"{case}_size"]
    return tuple(
        np.unpackbits(RECORDED[f"{case}_{which}"], count=shape.prod()).reshape(shape).astype(bool)
        for which in ("truth", "prediction")
    )


def recorded_video(case: str) -> tuple[np.ndarray, np.ndarray]:
    return RECORDED[f"{case}_video_truth"], RECORDED[f"{case}_video_prediction"]


def percent(scores: dict[int, MaskletScore]) -> np.ndarray:
    """(O, 3): the object, its J and its F in percent."""
    return np.array([(int(number), 100 * one.j.mean(), 100 * one.f.mean()) for number, one in scores.items()])


def write_tree(root: Path, videos: dict[str, np.ndarray], per_object: bool = False) -> Path:
    for name, masks in videos.items():
        for index, mask in enumerate(masks):
            parts = {name: mask}
            if per_object:
                parts = {f"{name}/{number:03d}": mask == number for number in np.unique(masks)[1:]}
            for folder, part in parts.items():
                (root / folder).mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(part)
                if part.dtype == np.uint8:
                    image.putpalette(palette(256).tobytes())
                image.save(root / folder / f"{index:05d}.png")
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("trees")
    videos = {name: recorded_video(name) for name in VIDEOS}
    truth = {name: pair[0] for name, pair in videos.items()}
    prediction = {name: pair[1] for name, pair in videos.items()}
    return dict(
        truth=write_tree(root / "truth", truth),
        prediction=write_tree(root / "prediction", prediction),
        objects=write_tree(root / "objects", {name: truth[name] for name in VIDEOS[:2]}, per_object=True),
        # Object 255 is an object here, too; where it was not predicted, its masks are empty.
        predicted_objects=write_tree(
            root / "predicted_objects",
            {
                f"{name}/{number:03d}": prediction[name] == number
                for name in VIDEOS[:2]
                for number in np.unique(truth[name])[1:]
            },
        ),
    )


@pytest.mark.parametrize("case", SIZES)
def test_j_and_f_are_the_published_ones(case):
    truth, prediction = recorded_masks(case)
    ours = np.stack(j_and_f(truth, prediction), axis=1)
    np.testing.assert_allclose(ours, RECORDED[f"{case}_j_and_f"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(jaccard(truth, prediction), ours[:, 0])
    np.testing.assert_array_equal(boundary_f(truth, prediction), ours[:, 1])


@pytest.mark.parametrize("case", SIZES)
def test_inside_jit_they_are_the_hosts(case):
    truth, prediction = recorded_masks(case)
    ours = np.stack(jax.jit(j_and_f_jit.j_and_f)(truth, prediction), axis=1)
    np.testing.assert_allclose(ours, RECORDED[f"{case}_j_and_f"], rtol=0, atol=1e-6)


def test_any_leading_axes_and_any_memory_layout_will_do():
    truth, prediction = recorded_masks("small")
    j, f = j_and_f(truth.reshape(3, 6, 37, 53), prediction.reshape(3, 6, 37, 53))
    assert j.shape == f.shape == (3, 6)
    alone = j_and_f(truth[2], prediction[2])
    assert alone[0] == j[0, 2] and alone[1] == f[0, 2]
    in_columns = [np.asfortranarray(masks[2]) for masks in (truth, prediction)]
    assert j_and_f(*in_columns) == alone
    turned = j_and_f(truth[:, ::-1, ::-1], prediction[:, ::-1, ::-1])  # strides below zero
    np.testing.assert_array_equal(turned[0], j.reshape(-1))


def test_the_boundary_is_half_a_pixel_to_the_origin_and_not_at_the_frames_edge():
    mask = np.zeros((5, 6), bool)
    mask[2:, 3:] = True
    expected = ["......", "..####", "..#...", "..#...", "..#..."]
    assert [["#" if here else "." for here in row] for row in boundary(mask)] == [list(row) for row in expected]
    assert [boundary_tolerance(*size) for size in ((480, 854), (1080, 1920), (1, 1))] == [8, 18, 1]


@pytest.mark.parametrize("case", VIDEOS)
@pytest.mark.parametrize(("rules", "key"), [(SA_V, "sa_v"), (ALL_FRAMES, "sa_v_all_frames")])
def test_objects_count_from_their_first_appearance_as_published(case, rules, key):
    scores = score_video(*recorded_video(case), rules)
    np.testing.assert_allclose(percent(scores), RECORDED[f"{key}_{case}"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("number", [1, 2, 4, 255])
@pytest.mark.parametrize(("rules", "key"), [(SA_V, "sa_v_objects"), (ALL_FRAMES, "sa_v_objects_all_frames")])
def test_one_object_alone_and_in_wider_numbers_counts_alike(number, rules, key):
    truth, prediction = (masks == number for masks in recorded_video("longer"))
    expected = RECORDED[f"{key}_longer_{number}"]
    np.testing.assert_allclose(percent(score_video(truth, prediction, rules)), expected, rtol=0, atol=1e-9)
    wider = score_video(truth.astype(np.int32), prediction.astype(np.int32), rules)
    np.testing.assert_allclose(percent(wider), expected, rtol=0, atol=1e-9)


def test_davis_2017_counts_its_own_way():
    scores = {}
    for case in VIDEOS:
        truth, prediction = RECORDED[f"{case}_video_truth"], RECORDED[f"{case}_video_davis_prediction"]
        scores |= {f"{case}_{number}": one for number, one in score_video(truth, prediction, DAVIS_2017).items()}
    assert list(scores) == RECORDED["davis2017_objects"].tolist()
    ours = np.array([[statistics(getattr(one, metric)) for one in scores.values()] for metric in "jf"])
    for index, name in enumerate(("mean", "recall", "decay")):
        values = [[row[name] for row in rows] for rows in ours]
        np.testing.assert_allclose(values, RECORDED["davis2017"][:, index], rtol=0, atol=1e-9)
    summary = summarize(scores.values())
    expected = 100 * RECORDED["davis2017"].mean(-1)
    names = [f"{metric}{suffix}" for metric in "JF" for suffix in ("", " recall", " decay")]
    np.testing.assert_allclose([summary[name] for name in names], expected.reshape(-1), rtol=0, atol=1e-9)
    assert summary["J&F"] == pytest.approx((summary["J"] + summary["F"]) / 2)


def test_an_object_of_a_video_without_truth_on_a_counted_frame_does_not_count():
    truth, prediction = np.zeros((2, 4, 8, 8), np.uint8)
    truth[0, 2:4, 2:4] = prediction[1:, 2:4, 2:4] = 1
    assert score_video(truth, prediction) == {}
    assert score_video(truth, prediction, ALL_FRAMES)[1].j.tolist() == [0, 0, 0, 0]
    assert score_video(truth, prediction, DAVIS_2017)[1].j.tolist() == [0, 0]
    assert score_video(truth[:2], prediction[:2]) == {}  # no frame lies between the first and the last


def test_decay_falls_from_the_first_quarter_to_the_last_in_videos_of_any_length():
    values = np.linspace(1, 0, 1001)  # the published toolkit counts frames in 8 bits
    result = statistics(values)
    assert result["decay"] == pytest.approx(0.75) and result["recall"] == pytest.approx(0.5, abs=1e-3)
    assert result["last quarter"] == pytest.approx(values[750:].mean())
    assert statistics(np.array([0.3]))["decay"] == 0


def test_the_deviation_of_lvos_is_that_of_j_and_f_together():
    one = MaskletScore(np.array([0.2, 0.6, 1.0]), np.array([0.4, 0.6, 0.8]))
    assert one.deviation == pytest.approx(np.std([0.3, 0.6, 0.9]))
    assert summarize([one])["V"] == pytest.approx(100 * one.deviation)
    assert one.j_and_f == pytest.approx(0.6)


def test_g_is_the_mean_of_j_and_f_of_seen_and_unseen_categories():
    def of(j, f):
        return MaskletScore(np.full(3, j), np.full(3, f))

    result = summarize_seen_and_unseen([of(0.1, 0.2), of(0.3, 0.4)], [of(0.9, 1.0)])
    assert result == pytest.approx({"G": 60, "J seen": 20, "F seen": 30, "J unseen": 90, "F unseen": 100})
    with pytest.raises(ValueError, match="no object of unseen categories"):
        summarize_seen_and_unseen([of(1, 1)], [])


def test_mean_iou_is_the_mean_of_j():
    truth, prediction = recorded_masks("square")
    assert mean_iou(truth, prediction) == pytest.approx(RECORDED["square_j_and_f"][:, 0].mean())


def test_masklets_inside_jit_are_the_hosts():
    truth, prediction = recorded_video("longest")
    numbers = [1, 2, 3, 4, 7, 255]
    annotated = np.arange(len(truth)) % 3 == 1
    masks = [np.stack([video == number for number in numbers]) for video in (truth, prediction)]
    for keep in (False, True):
        j, f, counts = jax.jit(j_and_f_jit.masklet_j_and_f, static_argnums=3)(*masks, annotated, keep)
        expected = score_video(truth[annotated], prediction[annotated], Rules(keep_first_and_last=keep))
        assert [number for number, one in zip(numbers, counts) if one] == list(expected)
        assert not counts.all() and not j[~counts].any() and not f[~counts].any()
        ours = np.stack([numbers, 100 * j, 100 * f], axis=1)[np.asarray(counts)]
        np.testing.assert_allclose(ours, percent(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_tree_of_palette_masks_scores_as_published(trees, processes):
    videos = find_videos(trees["prediction"], trees["truth"], strict=True)
    results = dict(score_videos(videos, trees["prediction"], trees["truth"], processes=processes))
    assert list(results) == videos == sorted(VIDEOS)
    for name, scores in results.items():
        np.testing.assert_allclose(percent(scores), RECORDED[f"sa_v_{name}"], rtol=0, atol=1e-9)
    summary = summarize(one for scores in results.values() for one in scores.values())
    np.testing.assert_allclose([summary[name] for name in ("J&F", "J", "F")], RECORDED["sa_v"], rtol=0, atol=1e-9)


def test_a_tree_of_a_folder_for_each_object_scores_as_published(trees):
    results = dict(score_videos(VIDEOS[:2], trees["predicted_objects"], trees["objects"], ALL_FRAMES))
    assert list(results["longer"]) == ["001", "002", "003", "004", "255"]
    for name, scores in results.items():
        for number, one in scores.items():
            if number != "003":
                expected = RECORDED[f"sa_v_objects_all_frames_{name}_{int(number)}"][0, 1:]
                np.testing.assert_allclose(percent({number: one})[0, 1:], expected, rtol=0, atol=1e-9)
    # Object 3 is on the first frame alone, which does not count.
    assert "003" not in dict(score_videos(["longer"], trees["predicted_objects"], trees["objects"]))["longer"]


def evaluate(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "score", *map(str, arguments), "--processes", "1"])
    run_one_of("evaluate", {"score": score})


def test_the_command_prints_json_and_writes_a_line_for_each_object(trees, tmp_path, monkeypatch, capsys):
    roots = ["--predictions", trees["prediction"], "--truth", trees["truth"]]
    evaluate(monkeypatch, *roots, "--strict", "--json", "--csv", tmp_path / "scores.csv")
    answer = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose([answer[name] for name in ("J&F", "J", "F")], RECORDED["sa_v"], rtol=0, atol=1e-9)
    assert answer["videos"] == 3 and answer["objects"] == len(answer["per_object"]) == 11
    with open(tmp_path / "scores.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["video"] == "all" and float(rows[0]["J&F"]) == answer["J&F"]
    by_object = {(row["video"], row["object"]): row for row in rows[1:]}
    assert len(by_object) == 11 and by_object["longest", "2"]["frames"] == "20"
    assert float(by_object["longest", "2"]["F"]) == pytest.approx(RECORDED["sa_v_longest"][1, 2])

    evaluate(monkeypatch, *roots, "--keep-first-and-last", "--json")
    answer = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(answer["J"], RECORDED["sa_v_all_frames"][1], rtol=0, atol=1e-9)
    evaluate(monkeypatch, *roots, "--rules", "davis2017", "--json")
    assert json.loads(capsys.readouterr().out)["objects"] == 12
    evaluate(monkeypatch, *roots)
    assert "J&F" in capsys.readouterr().err

    (tmp_path / "unseen.txt").write_text("longer\nlongest/2\n")
    evaluate(monkeypatch, *roots, "--unseen", tmp_path / "unseen.txt", "--json")
    answer = json.loads(capsys.readouterr().out)
    unseen = np.concatenate([RECORDED["sa_v_longer"], RECORDED["sa_v_longest"][1:2]])
    assert answer["F unseen"] == pytest.approx(unseen[:, 2].mean())
    assert answer["G"] == pytest.approx(np.mean([answer[f"{a} {b}"] for a in "JF" for b in ("seen", "unseen")]))


def remove(root: Path, name: str) -> None:
    (root / name).unlink()


def put(root: Path, name: str, image: np.ndarray) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / name)


GREY = np.zeros((48, 80), np.uint8)
BAD = {
    "a missing frame": (
        lambda p, t: remove(p, "b/00001.png"),
        r"There is no \S+/b/00001.png; expected a mask for every",
    ),
    "another size": (lambda p, t: put(p, "b/00001.png", GREY[:, :79]), "79 x 48 pixels; expected the truth's 80 x 48"),
    "colours": (lambda p, t: put(p, "b/00001.png", np.stack([GREY] * 3, -1)), "b/00001.png is a picture in colours"),
    "no picture": (lambda p, t: (p / "b/00001.png").write_text("?"), "b/00001.png cannot be read as a picture"),
    "no video": (lambda p, t: remove(t, "b/00000.png") or remove(t, "b/00001.png"), "truth/b holds nothing; expected"),
    "files and folders": (
        lambda p, t: put(t, "b/1/0.png", GREY),
        r"truth/b holds both files and folders; expected a PNG",
    ),
    "other files": (
        lambda p, t: (t / "b/notes.txt").write_text("?"),
        "truth/b holds notes.txt; expected a PNG for each",
    ),
    "two layouts": (
        lambda p, t: put(t, "c/1/0.png", GREY) or put(p, "c/0.png", GREY),
        "prediction/c holds pictures, .*truth/c folders; expected one layout",
    ),
    "a missing object": (
        lambda p, t: put(t, "c/1/0.png", GREY) or put(t, "c/2/0.png", GREY) or put(p, "c/1/0.png", GREY),
        r"There is no \S+/c/2; expected the masks of every object",
    ),
    "several in one": (
        lambda p, t: put(t, "c/1/0.png", np.arange(3, dtype=np.uint8)[:, None]) or put(p, "c/1/0.png", GREY[:3, :1]),
        "truth/c/1/0.png has several objects; expected one",
    ),
    "a video more": (
        lambda p, t: put(p, "c/0.png", GREY),
        r"c of \S+prediction is not in \S+truth; expected every video",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_trees_are_refused_in_a_sentence_that_says_where(what, tmp_path, monkeypatch, capsys):
    roots = [
        write_tree(tmp_path / name, {"a": GREY[None], "b": GREY[None].repeat(2, 0)}) for name in ("prediction", "truth")
    ]
    spoil, sentence = BAD[what]
    spoil(*roots)
    with pytest.raises(SystemExit) as stop:
        evaluate(
            monkeypatch, "--predictions", roots[0], "--truth", roots[1], "--keep-first-and-last", "--strict", "--json"
        )
    assert stop.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert re.search(sentence, output.err)


def test_only_strict_asks_for_every_video(trees, tmp_path):
    write_tree(tmp_path, {"longer": RECORDED["longer_video_prediction"]})
    assert find_videos(tmp_path, trees["truth"]) == ["longer"]
    with pytest.raises(ValueError, match=r"longest, short of .*truth is not in"):
        find_videos(tmp_path, trees["truth"], strict=True)
    with pytest.raises(ValueError, match="have no folder of one name"):
        find_videos(tmp_path / "longer", trees["truth"])
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        find_videos(tmp_path / "nowhere", trees["truth"])
    with pytest.raises(NotADirectoryError, match="is a file"):
        find_videos(tmp_path / "longer" / "00000.png", trees["truth"])


def test_predictions_of_frames_that_do_not_count_are_not_asked_for(trees, tmp_path):
    write_tree(tmp_path, {"longer": RECORDED["longer_video_prediction"]})
    for name in ("00000.png", "00010.png"):
        remove(tmp_path / "longer", name)
    ((_, scores),) = score_videos(["longer"], tmp_path, trees["truth"])
    np.testing.assert_allclose(percent(scores), RECORDED["sa_v_longer"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("truth", "prediction"), [(np.ones((4, 4)), np.ones((4, 4))), (np.ones((4, 4), bool), np.ones((4, 5), bool))]
)
def test_masks_that_do_not_fit_are_refused(truth, prediction):
    with pytest.raises(ValueError, match="expected both bool"):
        j_and_f(truth, prediction)
    with pytest.raises(ValueError, match="expected both bool"):
        jaccard(truth, prediction)


def test_scoring_on_the_host_does_not_load_jax():
    code = "import sys, sam2_jax.evaluation.scoring; print('jax' in sys.modules)"
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "False\n"
