# SPDX-License-Identifier: Apache-2.0
"""A session survives what goes wrong in it, forgets what it is told to, and compiles nothing it has compiled before."""

import itertools
import pathlib

import numpy as np
import pytest
from counted import compilations
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, HEIGHT, LENGTH, MASK, WIDTH

from sam2_jax.media.pictures import write_picture
from sam2_jax.media.videos import VideoWriter, open_video
from sam2_jax.predictors import SAM2VideoPredictor


@pytest.fixture(scope="module")
def predictor():
    return SAM2VideoPredictor(*small_model())


def masks_of(predictor, state, **arguments) -> np.ndarray:
    return np.stack([masks for _, _, masks in predictor.propagate_in_video(state, **arguments)])


BAD_INPUT = {
    "a frame that does not exist": (
        lambda p, s: p.add_new_points_or_box(s, LENGTH, 1, **CLICK),
        ValueError,
        f"Frame {LENGTH} does not exist; the video has {LENGTH} frames",
    ),
    "a negative frame": (lambda p, s: p.add_new_mask(s, -1, 1, MASK), ValueError, "Frame -1 does not exist"),
    "a point without a label": (
        lambda p, s: p.add_new_points_or_box(s, 0, 1, points=np.array([[1, 1]])),
        ValueError,
        "expected a label for each point",
    ),
    "points for two objects": (
        lambda p, s: p.add_new_points_or_box(s, 0, 1, points=np.ones((2, 1, 2)), labels=np.ones((2, 1))),
        ValueError,
        "for 2 objects; expected one",
    ),
    "no prompt at all": (lambda p, s: p.add_new_points_or_box(s, 0, 1), ValueError, "There is no prompt"),
    "a box added to points": (
        lambda p, s: p.add_new_points_or_box(s, 0, 1, box=np.array([1, 1, 9, 9]), clear_old_points=False),
        ValueError,
        "clear_old_points=True",
    ),
    "a mask with channels": (
        lambda p, s: p.add_new_mask(s, 0, 1, np.zeros((4, 4, 3))),
        ValueError,
        r"mask has the shape \(4, 4, 3\); expected \(H, W\)",
    ),
    "an object that was never there": (
        lambda p, s: p.remove_object(s, 5, strict=True),
        RuntimeError,
        r"no object 5; the session has \[1\]",
    ),
    "prompts of an object that was never there": (
        lambda p, s: p.clear_all_prompts_in_frame(s, 0, 5),
        RuntimeError,
        "no object 5",
    ),
    "a start outside the video": (
        lambda p, s: p.propagate_in_video(s, start_frame_idx=99),
        ValueError,
        "Frame 99 does not exist",
    ),
}


@pytest.mark.parametrize("what", BAD_INPUT)
def test_bad_input_leaves_the_session_as_it_was(predictor, what):
    act, error, sentence = BAD_INPUT[what]
    state = predictor.init_state(FRAMES[:3])
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    expected = masks_of(predictor, state)
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    with pytest.raises(error, match=sentence):
        act(predictor, state)
    assert state.obj_ids == [1]
    np.testing.assert_allclose(masks_of(predictor, state, max_frame_num_to_track=2)[:1], expected[:1], atol=1e-5)


def test_tracking_needs_an_object_with_a_prompt(predictor):
    state = predictor.init_state(FRAMES)
    with pytest.raises(RuntimeError, match="no object to track"):
        predictor.propagate_in_video(state)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    predictor.add_new_points_or_box(state, 3, 2, **CLICK)
    predictor.clear_all_prompts_in_frame(state, 3, 2)
    with pytest.raises(RuntimeError, match="Object 2 has no prompt"):
        predictor.propagate_in_video(state)
    predictor.remove_object(state, 2)
    assert len(masks_of(predictor, state)) == LENGTH


def test_a_file_that_breaks_off_is_tracked_to_there_and_the_session_goes_on(predictor, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in enumerate(FRAMES[:6]):
        write_picture(folder / f"{index}.png", frame)
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    whole = masks_of(predictor, state)
    broken = folder / "4.png"
    data = broken.read_bytes()
    broken.write_bytes(data[: len(data) // 2])
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    seen = []
    with pytest.raises(ValueError, match=r"4\.png cannot be read"):  # noqa: PT012
        for frame, _, masks in predictor.propagate_in_video(state):
            seen.append(frame)
            np.testing.assert_allclose(masks, whole[frame], atol=1e-5)
    assert seen[:2] == [0, 1]
    broken.write_bytes(data)
    np.testing.assert_allclose(masks_of(predictor, state), whole, atol=1e-5)


def test_a_video_that_cannot_be_held_is_named_and_a_truncated_one_is_tracked_to_its_end(predictor, tmp_path):
    with pytest.raises(ValueError, match="an iterator, whose frames can be read once only"):
        predictor.init_state(iter(FRAMES))
    with pytest.raises(FileNotFoundError, match="no video"):
        predictor.init_state(tmp_path / "absent.mp4")
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 10, HEIGHT, WIDTH) as writer:
        for frame in FRAMES:
            writer.write(frame)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    state = predictor.init_state(path)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    last = state.video.length - 1
    assert 0 < last < LENGTH - 1
    with pytest.raises(ValueError, match=rf"Frame {last + 1} does not exist"):
        predictor.add_new_points_or_box(state, last + 1, 1, **CLICK)
    seen = []
    with pytest.raises(ValueError, match=rf"a\.mp4 is damaged after frame {last}"):  # noqa: PT012
        for frame, _, _ in predictor.propagate_in_video(state):
            seen.append(frame)
    assert seen == list(range(last + 1))
    assert len(masks_of(predictor, state, max_frame_num_to_track=1)) == 2


def test_frames_come_in_any_order(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 10, HEIGHT, WIDTH) as writer:
        for frame in FRAMES:
            writer.write(frame)
    video = open_video(path)
    forward = list(video)
    for order in (range(16, -1, -1), range(3, 9), range(9, 3, -1), range(5, 5), range(7, 7, -1)):
        got = list(video.frames(order))
        assert len(got) == len(order)
        for frame, index in zip(got, order):
            np.testing.assert_array_equal(frame, forward[index])


def test_tracking_back_mirrors_tracking_forward(predictor):
    """The reversed video, tracked forward from its end, gives the same masks."""
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, LENGTH - 1, 1, **CLICK)
    back = masks_of(predictor, state, start_frame_idx=LENGTH - 1, reverse=True)
    state = predictor.init_state(FRAMES[::-1])
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    np.testing.assert_allclose(back, masks_of(predictor, state), atol=1e-4)


def test_what_was_tracked_near_a_prompt_is_forgotten_where_asked(predictor):
    model, params = small_model()
    forgetful = SAM2VideoPredictor(model, params, clear_non_cond_mem_around_input=True)
    answers = []
    for each in (predictor, forgetful):
        state = each.init_state(FRAMES)
        each.add_new_points_or_box(state, 0, 1, **CLICK)
        masks_of(each, state)
        each.add_new_points_or_box(state, 9, 1, points=np.array([[50, 10]]), labels=np.array([1]))
        answers.append(next(itertools.islice(each.propagate_in_video(state, 10), 0, None))[2])
        held = set(state.objects[1].tracked)
        assert each is predictor or not held & {3, 4, 5, 6, 7, 8}
    assert np.abs(answers[0] - answers[1]).max() > 1e-4


def test_a_longer_stride_remembers_further_back_with_as_many_memories(predictor):
    model, params = small_model(memory_stride=3)
    sparse = SAM2VideoPredictor(model, params)
    state = sparse.init_state(FRAMES)
    sparse.add_new_points_or_box(state, 0, 1, **CLICK)
    whole = masks_of(sparse, state)
    # Taken up in the middle, the bank is laid out anew from the session and must say the same.
    np.testing.assert_allclose(masks_of(sparse, state, start_frame_idx=11), whole[11:], atol=1e-4)
    plain = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(plain, 0, 1, **CLICK)
    plain = masks_of(predictor, plain)
    np.testing.assert_allclose(whole[:3], plain[:3], atol=1e-5)  # nothing to leave out yet
    assert np.abs(whole[-1] - plain[-1]).max() > 1e-4


def test_nothing_compiles_anew_within_a_bucket():
    model, params = small_model(name="session_compiled_once")
    predictor = SAM2VideoPredictor(model, params)

    def everything(first: int):
        state = predictor.init_state(FRAMES[: 6 + first])
        predictor.add_new_points_or_box(state, first, 1, **CLICK)
        predictor.add_new_mask(state, first, 2, MASK)
        predictor.add_new_points_or_box(state, first, 3, box=np.array([1, 1, 30, 30]))
        masks_of(predictor, state)
        predictor.add_new_points_or_box(
            state, first + 2, 1, points=np.array([[5, 5], [30, 30]]), labels=np.array([1, 0])
        )
        predictor.add_new_points_or_box(state, first + 2, 4, **CLICK)
        masks_of(predictor, state)
        predictor.remove_object(state, 2)
        masks_of(predictor, state, reverse=True, start_frame_idx=first + 2)

    everything(0)
    with compilations() as compiled:
        everything(1)
        everything(3)
    assert not compiled


def test_paths_of_every_kind_open_a_session(predictor, tmp_path):
    for index, frame in enumerate(FRAMES[:3]):
        write_picture(tmp_path / f"{index:05d}.png", frame)
    expected = None
    for source in (str(tmp_path), pathlib.Path(tmp_path), FRAMES[:3], list(FRAMES[:3])):
        state = predictor.init_state(source, offload_video_to_cpu=True, async_loading_frames=True)
        predictor.add_new_points_or_box(state, 1, 1, **CLICK)
        masks = masks_of(predictor, state)
        expected = masks if expected is None else expected
        np.testing.assert_array_equal(masks, expected)


@pytest.mark.parametrize("compat", [None, "official"])
@pytest.mark.parametrize("clear", [False, True])
def test_a_memory_that_was_let_go_is_made_again_of_what_it_was_made_of(compat, clear):
    """Also where its frame counts as tracked: a correction of the published kind, or prompts that were taken back."""
    predictor = SAM2VideoPredictor(*small_model(), fill_hole_area=0, compat=compat)
    state = predictor.init_state(FRAMES[:9])
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    masks_of(predictor, state)
    predictor.add_new_points_or_box(state, 1, 1, **CLICK)
    first = masks_of(predictor, state, start_frame_idx=2)
    if clear:
        predictor.clear_all_prompts_in_frame(state, 1, 1)
        first = masks_of(predictor, state, start_frame_idx=2)
    np.testing.assert_array_equal(masks_of(predictor, state, start_frame_idx=2), first)


@pytest.mark.parametrize("compat", [None, "official"])
def test_a_removed_object_leaves_the_others_on_all_frames_where_it_had_prompts(compat):
    predictor = SAM2VideoPredictor(*small_model(), compat=compat)
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    predictor.add_new_points_or_box(state, 0, 2, **CLICK)
    list(predictor.propagate_in_video(state))
    predictor.add_new_mask(state, 8, 1, MASK)  # on a frame that was tracked
    predictor.add_new_points_or_box(state, 6, 1, **CLICK)
    predictor.add_new_mask(state, 4, 1, MASK)
    list(predictor.propagate_in_video(state))
    predictor.clear_all_prompts_in_frame(state, 4, 1)
    ids, answers = predictor.remove_object(state, 1)
    assert (ids, [frame for frame, _ in answers]) == ([2], [0, 6, 8])
