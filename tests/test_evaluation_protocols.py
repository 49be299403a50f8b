# SPDX-License-Identifier: Apache-2.0
"""What every protocol promises: the truth scores 100, a constant what arithmetic says, time is the paper's model."""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from evaluation_cases import HEIGHT, WIDTH, Answers, Discs

from sam2_jax.evaluation import davis_interactive
from sam2_jax.evaluation.baselines import copy_first_mask, match_colours
from sam2_jax.evaluation.breakdown import by_column, compare, facts_of
from sam2_jax.evaluation.charts import line_chart
from sam2_jax.evaluation.clip_scores import ClipScores
from sam2_jax.evaluation.clips import open_clip
from sam2_jax.evaluation.corrections import Correction, correct
from sam2_jax.evaluation.davis_interactive import Interactions, interact
from sam2_jax.evaluation.images import evaluate_pictures
from sam2_jax.evaluation.interactive import annotation_seconds, offline, online
from sam2_jax.evaluation.j_and_f import jaccard
from sam2_jax.evaluation.masklets import DAVIS_2017, Rules, score_video, summarize
from sam2_jax.evaluation.published import published
from sam2_jax.evaluation.session import masks_of
from sam2_jax.evaluation.submission import MaskWriter, layout_of
from sam2_jax.evaluation.vos import PROMPTS, evaluate_vos, score_masks, segment_clip

THREADS = ThreadPoolExecutor(2)
TRUTH = functools.partial(Answers, lambda truth: truth)
NOTHING = functools.partial(Answers, np.zeros_like)
EVERYTHING = functools.partial(Answers, np.ones_like)
# As good as the truth, but for one frame in three, where it is shifted by half a disc.
SHIFTED = functools.partial(Answers, lambda truth: np.roll(truth, 8, axis=2))


@pytest.fixture(scope="module")
def clip():
    return open_clip(Discs(), 0)


class OnPictures:
    """An answer to clicks on pictures, from the truth."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, pictures, truth, clicks):
        masks = [self.answer(true) for true in truth]
        return [(np.tile(jaccard(t, m)[:, None], clicks), np.where(m, 1.0, -1.0)) for t, m in zip(truth, masks)]


@pytest.mark.parametrize("every", [1, 3])
def test_the_truth_scores_100_under_every_protocol(every):
    clip = open_clip(Discs(every=every), 0)
    for prompt in PROMPTS:
        scores = evaluate_vos(TRUTH(clip), clip, THREADS, prompt).scores
        assert [summarize([score])["J&F"] for score in scores] == [100, 100, 100]
    for protocol in (offline, online):
        rounds = protocol(TRUTH(clip), clip, THREADS, rounds=4)
        assert {score.j_and_f for scores in rounds.scores for score in scores} == {1.0}
        assert all(len(frames) == 1 for frames in rounds.prompted)  # nothing is wrong, so nobody clicks again
    played = interact(TRUTH(clip), clip, THREADS, interactions=3)
    assert (played.j_and_f == 1).all()
    answer = evaluate_pictures(OnPictures(lambda truth: truth), clip, clicks=5)
    assert (answer.ious == 1).all()


def test_nothing_scores_where_there_is_nothing(clip):
    carried = evaluate_vos(NOTHING(clip), clip, THREADS)
    scores = carried.scores
    # Frames 1 to 9 count: the second object is hidden on two of them; the third counts from its first frame on.
    assert [score.j.tolist() for score in scores] == [[0] * 9, [0, 0, 0, 1, 1, 0, 0, 0, 0], [0] * 7]
    assert [score.f.tolist() for score in scores] == [score.j.tolist() for score in scores]
    assert carried.presence.tolist() == [0, 2 / 9, 0]  # right where it is hidden
    for protocol in (offline, online):
        rounds = protocol(NOTHING(clip), clip, THREADS, rounds=3)
        for passed in rounds.scores:
            assert [summarize([score])["J&F"] for score in passed] == [0, pytest.approx(200 / 9), 0]
    assert not evaluate_pictures(OnPictures(np.zeros_like), clip).ious.any()


def test_everything_scores_the_part_of_the_frame(clip):
    carried = evaluate_vos(EVERYTHING(clip), clip, THREADS, overlap=True)
    scores, worst = carried.scores, carried.worst
    area = clip.truth(1)[0].sum() / (HEIGHT * WIDTH)
    assert scores[0].j[0] == pytest.approx(area) and not scores[0].f.any()
    assert worst.mask.all() and worst.j_and_f < area
    shared = evaluate_vos(EVERYTHING(clip), clip, THREADS, overlap=False).scores
    assert summarize([shared[0]])["J"] == summarize([scores[0]])["J"]  # the first of those equally sure
    assert summarize([shared[1]])["J"] == pytest.approx(200 / 9)  # so nothing is left, which is right on two frames


def test_without_a_model_a_still_mask_and_colours_are_followed():
    """Discs that stand still are where they were, and colours tell a disc from the rest wherever it is."""
    truth = np.zeros((3, 1, 32, 32), bool)
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    for frame, left in enumerate((4, 4, 18)):
        truth[frame, 0, 8:20, left : left + 10] = True
        frames[frame] = np.where(truth[frame, 0, ..., None], [200, 40, 40], [30, 60, 90])
    clip = dataclasses.replace(
        open_clip(Discs(), 0), length=3, size=(32, 32), objects=(1,), annotated=(0, 1, 2), frames=lambda at: frames[at]
    )
    clip = dataclasses.replace(clip, packed=np.packbits(truth, axis=-1))
    for baseline, expected in ((copy_first_mask, truth[[0, 0, 0]]), (match_colours, truth)):
        found = np.stack(list(baseline(clip)))
        assert jaccard(expected, found).min() > 0.9, baseline
    everything = Rules(keep_first_and_last=True)
    assert score_masks(truth, clip, THREADS, everything).scores[0].j_and_f == 1


def test_scores_are_those_of_files(clip, tmp_path):
    for answer in (SHIFTED, NOTHING):
        masks = np.stack(list(segment_clip(answer(clip), clip, "mask", overlap=True)))
        truth = np.stack([clip.truth(frame) for frame in range(clip.length)])
        for rules in (Rules(), Rules(keep_first_and_last=True), DAVIS_2017):
            scores = ClipScores(clip, THREADS, rules)
            for frame, frame_masks in enumerate(masks):
                scores.add(frame, frame_masks)
            for place, score in enumerate(scores.result()):
                expected = score_video(truth[:, place], masks[:, place], rules).get(1)
                assert (score is None) == (expected is None)
                if score is not None:
                    np.testing.assert_array_equal([score.j, score.f], [expected.j, expected.f])


def test_a_frame_without_a_prediction_is_named(clip):
    scores = ClipScores(clip, THREADS)
    scores.add(1, clip.truth(1))
    with pytest.raises(ValueError, match="disc_0 has no prediction for frame 2, which counts"):
        scores.result()


def test_offline_clicks_on_the_worst_frame_next(clip):
    class WorseAndWorse(Answers):
        """The later a frame the worse, but where it was clicked on."""

        def track(self):
            for tracked in super().track():
                for row, frames in enumerate(self.clicked):
                    tracked.ious[row] = np.nan if tracked.frame in frames else 1 - tracked.frame / 100
                yield tracked

    rounds = offline(WorseAndWorse(lambda truth: truth, clip), clip, THREADS, rounds=4)
    assert rounds.prompted == [[0, 10, 9, 8], [0, 10, 9, 8], [3, 10, 9, 8]]
    # A short video has fewer frames to click on than there are rounds.
    short = open_clip(Discs(length=4), 0)
    rounds = offline(NOTHING(short), short, THREADS, rounds=8)
    assert [sorted(frames) for frames in rounds.prompted] == [[0, 1, 2, 3], [0, 1, 2, 3], [3]]
    assert len(rounds.scores) == 8


def test_presence_is_known_of_an_object_that_only_the_first_frame_has(clip):
    packed = clip.packed.copy()
    packed[1:, 0] = 0
    gone = dataclasses.replace(clip, packed=packed)
    assert evaluate_vos(TRUTH(gone), gone, THREADS, rules=DAVIS_2017).presence.tolist() == [1, 1, 1]
    assert evaluate_vos(EVERYTHING(gone), gone, THREADS, overlap=True, rules=DAVIS_2017).presence[0] == 0


def test_a_correction_is_worth_what_it_changes_after_the_frame(clip):
    """The first object is lost from frame 5 on until it is clicked on."""

    class LostOnce(Answers):
        def track(self):
            for tracked in super().track():
                if tracked.frame >= 5 and 5 not in self.clicked[0]:
                    tracked.logits[0] = -10
                yield tracked

    found = correct(LostOnce(lambda truth: truth, clip), clip, THREADS)
    assert found == [Correction(5, 0.0, 1.0), None, None]
    assert correct(TRUTH(clip), clip, THREADS, "1-click") == [None, None, None]


def test_online_budgets_that_are_not_used_up_are_no_limit(clip):
    class Counting(Answers):
        passes = 0

        def track_and_pause(self, *arguments):
            Counting.passes += 1
            return super().track_and_pause(*arguments)

    def bad_on_two_frames(truth):
        return truth if bad_on_two_frames.frame not in (4, 7) else np.zeros_like(truth)

    class Sometimes(Counting):
        def _truth(self, frame):
            bad_on_two_frames.frame = frame
            return super()._truth(frame)

    rounds = online(Sometimes(bad_on_two_frames, clip), clip, THREADS, rounds=8)
    # The second object is hidden on frame 4, so nothing is wrong with it there.
    assert rounds.prompted == [[0, 4, 7], [0, 7], [3, 4, 7]]
    assert Counting.passes == 3  # of 8, 2 and 1 frames
    j_of_first = [passed[0].j.tolist() for passed in rounds.scores]
    assert len(j_of_first) == 8 and j_of_first[2] == j_of_first[7]


def test_annotation_time_is_the_papers():
    assert annotation_seconds(300, 1) == annotation_seconds(300, 1, mode="online") == 30 + 1 + 1.5 * 3
    assert annotation_seconds(300, 8) == 8 * 35.5
    assert annotation_seconds(300, 8, mode="online") == 30 + 8 * 5.5
    assert annotation_seconds(150, 2, clicks=1) == 2 * (15 + 2.5)


def test_davis_goes_to_the_worst_frame_of_all_objects_once(clip):
    ticks = iter(range(1000))
    played = interact(SHIFTED(clip), clip, THREADS, interactions=4, clock=lambda: next(ticks))
    assert played.seconds.tolist() == [1, 1, 1, 1] and played.j_and_f.shape == (4, 3)
    assert played.frames[0] == 0 and len(set(played.frames)) == 4
    slow = iter(range(0, 1000, 50))
    # 3 objects, 30 s for each and each of 4 interactions: the eighth interval of 50 s would be too much.
    assert len(interact(SHIFTED(clip), clip, THREADS, 4, 3, 10.0, lambda: next(slow)).seconds) == 2


def test_davis_summary_is_that_of_its_toolkit():
    clips = [
        Interactions(np.array([[0.5], [0.7]]), np.array([10.0, 20.0]), [0, 4]),
        Interactions(np.array([[0.4, 0.6]]), np.array([30.0]), [0]),
    ]
    told = davis_interactive.summarize(clips, interactions=2, seconds_per_object=30)
    # The mean over 3 objects after each interaction; the one that was not done counts as the one before it.
    assert told["J&F"] == pytest.approx([0, 0.5, 1.7 / 3])
    assert told["seconds"] == [0, 20, 30]
    end = 30 * 2 * 1.5
    area = 0.5 * 20 / 2 + (0.5 + 1.7 / 3) / 2 * 10 + 1.7 / 3 * 60
    assert told["AUC-J&F"] == pytest.approx(area / end)
    assert told["J&F@60s"] == pytest.approx(1.7 / 3)
    assert told["R-AUC-J&F"] == pytest.approx((0.25 + (0.5 + 1.7 / 3) / 2) / 2)


def test_masks_that_may_not_overlap_go_to_the_surest():
    logits = np.array([[[1.0, -1, 2]], [[2.0, -2, 2]]], np.float32)
    assert masks_of(logits, (1, 3)).tolist() == [[[True, False, True]], [[True, False, True]]]
    assert masks_of(logits, (1, 3), overlap=False).tolist() == [[[False, False, True]], [[True, False, False]]]


def test_predictions_are_written_as_benchmarks_want_them(clip, tmp_path):
    from PIL import Image

    masks = clip.truth(6)
    MaskWriter(tmp_path / "palette", clip, "palette")(6, masks)
    image = Image.open(tmp_path / "palette" / "disc_0" / "00006.png")
    assert image.mode == "P" and image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    expected = np.select([masks[0], masks[1], masks[2]], [3, 5, 9])
    np.testing.assert_array_equal(np.asarray(image), expected)
    MaskWriter(tmp_path / "objects", clip, "objects")(6, masks)
    for number, mask in zip(("003", "005", "009"), masks):
        written = Image.open(tmp_path / "objects" / "disc_0" / number / "00006.png")
        np.testing.assert_array_equal(np.asarray(written) > 0, mask)
    from_0 = dataclasses.replace(clip, objects=(0, 1, 2))
    assert layout_of(clip) == "palette" and layout_of(from_0) == "objects"
    with pytest.raises(ValueError, match=r"\(0, 1, 2\); a palette has room for 1 to 255"):
        MaskWriter(tmp_path, from_0, "palette")


def test_objects_are_told_apart_by_what_is_known_of_them(clip):
    facts = facts_of(clip)
    assert [fact["disappears"] for fact in facts] == ["no", "yes", "no"]
    assert facts[0] == facts[0] | {"weather": "rain", "colour": "red", "length": "under 100 frames"}
    rows = [{**fact, "J&F": score} for fact, score in zip(facts, (50.0, 80.0, 70.0))]
    assert by_column(rows, "colour", "J&F") == {"blue": (80.0, 1), "red": (60.0, 2)}
    rows = [{"age": age, "J&F": age} for age in range(100)]
    quarters = by_column(rows, "age", "J&F")
    assert [count for _, count in quarters.values()] == [25] * 4
    with pytest.raises(ValueError, match="No object has the fact 'mood'"):
        by_column(rows, "mood", "J&F")


def test_two_runs_differ_by_more_than_chance_or_not():
    rng = np.random.default_rng(0)
    first = [
        {"video": f"v{i // 3}", "object": i, "J&F": float(value)} for i, value in enumerate(rng.normal(50, 10, 90))
    ]
    better = [row | {"J&F": row["J&F"] + 2 + rng.normal()} for row in first]
    other = [row | {"J&F": row["J&F"] + 10 * rng.normal()} for row in first]
    told = compare(first, better, "J&F")
    assert told["low"] > 1.5 and told["high"] < 2.5 and told["rows"] == 90 and told["videos"] == 30
    assert told == compare(first, better, "J&F")  # the same draws
    assert compare(first, other, "J&F")["low"] < 0 < compare(first, other, "J&F")["high"]
    with pytest.raises(ValueError, match="no object with the score 'J&F' in common"):
        compare(first, [{"video": "x", "object": 1, "J&F": 1.0}], "J&F")


def test_the_papers_numbers_stand_beside_the_same_data_or_say_that_they_do_not():
    mose = published("vos", "mose")
    assert {row.model: row.value for row in mose} == {
        "T*": 71.8,
        "S*": 73.5,
        "B+*": 73.8,
        "L*": 74.6,
        "B+": 76.6,
        "L": 77.9,
    }
    assert all(row.comparable for row in mose)
    assert [(row.value, row.comparable) for row in published("offline", "discs")] == [(80.3, False)]
    assert [row.value for row in published("vos", "discs", "3-click")] == [75.3]


def test_a_chart_shows_its_curves():
    chart = line_chart({"a": ([1, 2, 3], [10, 50, 60]), "b": ([1, 2, 3], [30, 30, 30])}, "title", "rounds", "J&F")
    assert chart.dtype == np.uint8 and chart.shape[2] == 3
    for color in ((38, 139, 255), (255, 138, 30)):
        assert (np.abs(chart.astype(int) - color).sum(-1) < 30).sum() > 200
    with pytest.raises(ValueError, match="has 2 x and 3 y"):
        line_chart({"a": ([1, 2], [1, 2, 3])}, "", "", "")
