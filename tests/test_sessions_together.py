# SPDX-License-Identifier: Apache-2.0
"""Objects, sessions and devices share programs: each gets what it gets alone, in fewer calls."""

import numpy as np
import pytest
from counted import calls_of, compilations
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, LENGTH, MASK
from test_sessions_never_wait import play_on_two_devices

from sam2_jax.predictors import SAM2VideoPredictor, video_session
from sam2_jax.session import passes, session

BOX = dict(box=np.array([5, 5, 40, 40], np.float32))


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


def test_objects_prompted_together_are_those_prompted_one_by_one_in_one_call(model_and_params, monkeypatch):
    predictor = SAM2VideoPredictor(*model_and_params)
    prompts = {1: CLICK, "box": BOX, 3: dict(points=np.array([[9, 9], [40, 30], [3, 3]]), labels=np.array([1, 1, 0]))}
    one_by_one, together = predictor.init_state(FRAMES), predictor.init_state(FRAMES)
    for obj_id, prompt in prompts.items():
        _, _, expected = predictor.add_new_points_or_box(one_by_one, 2, obj_id, **prompt)
    first, later = (calls_of(monkeypatch, session, name) for name in ("predict_first", "predict_with_memory"))
    frame, ids, masks = predictor.add_prompts(together, 2, prompts)
    assert (frame, ids, len(first)) == (2, list(prompts), 1)
    np.testing.assert_allclose(masks, expected, atol=1e-4)
    for state in (one_by_one, together):
        list(predictor.propagate_in_video(state))
    again = dict.fromkeys(prompts, CLICK) | {"new": dict(mask=MASK)}
    _, _, masks = predictor.add_prompts(together, 5, again)
    assert len(first) == 1 and len(later) == 1
    for obj_id in prompts:
        predictor.add_new_points_or_box(one_by_one, 5, obj_id, **CLICK)
    _, _, expected = predictor.add_new_mask(one_by_one, 5, "new", MASK)
    np.testing.assert_allclose(masks, expected, atol=1e-4)


def test_a_prompt_resizes_the_mask_of_its_own_object_alone(model_and_params, monkeypatch):
    predictor = SAM2VideoPredictor(*model_and_params, non_overlap_masks=True)
    state = predictor.init_state(FRAMES)
    resized = calls_of(monkeypatch, video_session, "resize_logits")
    for obj_id in range(5):
        _, _, masks = predictor.add_new_points_or_box(state, 2, obj_id, **CLICK if obj_id % 2 else BOX)
        assert len(resized) == obj_id + 1
    masks[:] = 7  # the user's own array
    predictor.add_new_points_or_box(state, 2, 9, **CLICK, need_output=False)
    assert len(resized) == 5
    np.testing.assert_array_equal(predictor.masks_on_frame(state, 2)[2][:, 0].shape, (6, *FRAMES.shape[1:3]))
    fresh = SAM2VideoPredictor(*model_and_params, non_overlap_masks=True)
    other = fresh.init_state(FRAMES)
    for obj_id in range(5):
        fresh.add_new_points_or_box(other, 2, obj_id, **CLICK if obj_id % 2 else BOX, need_output=False)
    fresh.add_new_points_or_box(other, 2, 9, **CLICK, need_output=False)
    np.testing.assert_array_equal(predictor.masks_on_frame(state, 2)[2], fresh.masks_on_frame(other, 2)[2])


def test_without_output_no_mask_is_made_until_it_is_asked_for(model_and_params, monkeypatch):
    predictor = SAM2VideoPredictor(*model_and_params)
    state = predictor.init_state(FRAMES)
    assert predictor.add_new_mask(state, 0, 1, MASK, need_output=False) == (0, [1], None)
    expected = [masks for _, _, masks in predictor.propagate_in_video(state)]
    resized = calls_of(monkeypatch, video_session, "resize_logits")
    for answer, scores in (
        (a[:3], a[3]) for a in predictor.propagate_in_video(state, return_scores=True, need_output=False)
    ):
        assert answer[1:] == ([1], None) and scores["iou"].shape == (1,)
    assert not resized
    np.testing.assert_array_equal([predictor.masks_on_frame(state, f)[2] for f in range(LENGTH)], expected)


def start(predictor, video, ids):
    state = predictor.init_state(video)
    for obj_id in ids:
        predictor.add_new_points_or_box(state, 0, obj_id, **(CLICK if obj_id % 2 else BOX))
    return state


def test_sessions_at_one_time_share_a_program_and_get_what_each_gets_alone(model_and_params, monkeypatch):
    videos = [FRAMES, FRAMES[::-1], FRAMES[:7], FRAMES]
    objects = [(1, 2), (1, 2), (2, 3), (1,)]  # the last has another shape
    alone = SAM2VideoPredictor(*model_and_params)
    expected = [
        [masks for _, _, masks in alone.propagate_in_video(start(alone, video, ids))]
        for video, ids in zip(videos, objects)
    ]
    predictor = SAM2VideoPredictor(*model_and_params, sessions_at_once=4)
    states = [start(predictor, video, ids) for video, ids in zip(videos, objects)]
    calls = calls_of(monkeypatch, passes, "carry_together")
    running = [predictor.propagate_in_video(state) for state in states]
    answers = [[] for _ in states]
    for _ in range(LENGTH):
        for one, mine in zip(running, answers):
            mine.extend(masks for _, _, masks in [next(one, (0, 0, None))] if masks is not None)
    for mine, theirs in zip(answers, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    together = [len(arguments[2]) for arguments in calls]
    assert max(together) == 4 and len(calls) < sum(len(video) - 1 for video in videos) - 8


def test_an_error_in_one_session_is_its_own(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params, sessions_at_once=2)
    states = [start(predictor, FRAMES, (1,)) for _ in range(2)]

    def damaged(order):
        for index in order:
            if index == 3:
                raise ValueError("frame 3 is damaged")
            yield FRAMES[index]

    states[0].encoded.source = type("Damaged", (), dict(length=LENGTH, frames=staticmethod(damaged)))
    bad, good = (predictor.propagate_in_video(state) for state in states)
    for _ in range(3):
        next(bad), next(good)
    with pytest.raises(ValueError, match="frame 3 is damaged"):
        next(bad)
    assert len(list(good)) == LENGTH - 3


def test_nothing_compiles_after_a_warm_up():
    predictor = SAM2VideoPredictor(*small_model(name="warmed_up"), sessions_at_once=2)
    predictor.warm_up(objects=1, points=3, prompted_frames=2)
    with compilations() as compiled:
        states = [start(predictor, FRAMES, (1,)) for _ in range(2)]
        for _ in zip(*(predictor.propagate_in_video(state) for state in states), strict=True):
            pass
        three = dict(points=np.array([[9, 9], [40, 30], [3, 3]]), labels=np.array([1, 1, 0]))
        predictor.add_new_points_or_box(states[0], 3, 1, **three)
        predictor.add_new_mask(states[1], 3, 1, MASK)
        list(predictor.propagate_in_video(states[0], reverse=True))
    assert not compiled


@pytest.mark.slow
def test_objects_divided_over_a_mesh_are_those_of_one_device():
    found = play_on_two_devices("sessions_on_devices.py")
    assert found["difference"] < 1e-4
    assert found["rows of each device"] == 2
    assert found["pinned to"] == [1]
    assert found["collectives"] == []
