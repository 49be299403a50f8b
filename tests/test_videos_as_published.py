# SPDX-License-Identifier: Apache-2.0
"""Video sessions get the published package's answers, recorded on weights drawn by rule (`recorded/make_videos.py`)."""

from pathlib import Path

import numpy as np
import pytest
import random_sessions
from small import rule_params
from video_cases import sample, session, session_of_three_prompts

from sam2_jax.config import PUBLISHED, change
from sam2_jax.model import SAM2
from sam2_jax.predictors import SAM2VideoPredictor

RECORDED = Path(__file__).parent / "recorded"


def check(name: str, image_size: int, file: str, steps=session, compat: str | None = None, **changes) -> dict:
    """Compares every step with what is recorded; returns both sides, by step."""
    model = SAM2(change(PUBLISHED[name], image_size=image_size, precision="highest", **changes))
    predictor = SAM2VideoPredictor(model, rule_params(model), fill_hole_area=0, compat=compat)
    with np.load(RECORDED / "video_frames.npz") as frames:
        state = predictor.init_state(frames["frames"])
    with np.load(RECORDED / f"video_{name}_{image_size}{file}.npz") as recorded:
        theirs = dict(recorded)
    ours = {step: sample(answer) for step, answer in steps(predictor, state).items()}
    assert ours.keys() == theirs.keys()
    for step, expected in theirs.items():
        answer = ours[step]
        assert answer.shape == expected.shape, step
        assert error(answer, expected) <= 3e-3, (step, error(answer, expected))
        both, either = ((answer > 0) & (expected > 0)).sum(), ((answer > 0) | (expected > 0)).sum()
        assert both >= either - max(1, 0.005 * either), step  # one pixel of the few that are recorded
    return {step: (ours[step], theirs[step]) for step in theirs}


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def check_session(name: str, image_size: int, file: str = "_corrections_count", compat: str | None = None) -> None:
    ours, theirs = check(name, image_size, file, compat=compat)["propagate"]
    assert error(ours[1], theirs[1]) <= 3e-4


def test_the_published_session_is_answered_as_published():
    check_session("sam2.1_hiera_tiny", 256, "", compat="official")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sam2.1_hiera_tiny", "sam2_hiera_tiny"])
def test_a_session_whose_corrections_count_is_answered_as_published(name):
    check_session(name, 256)


@pytest.mark.slow
def test_a_stride_between_memories_and_the_nearest_prompted_frames_are_as_published():
    limits = dict(memory_stride=2, attended_prompted_frames=2)
    check("sam2.1_hiera_tiny", 256, "_limits", session_of_three_prompts, **limits)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "image_size"), [("sam2.1_hiera_base_plus", 256), ("sam2.1_hiera_tiny", 512)])
def test_larger_models_and_inputs_too(name, image_size):
    check_session(name, image_size)


@pytest.mark.slow
@pytest.mark.parametrize("setting", random_sessions.RECORDED)
def test_random_sessions_are_answered_as_published(setting):
    """Prompts, removals and passes in any order; errors come where they came, in each of the published settings."""
    seed, fill_hole_area = random_sessions.RECORDED[setting]
    model = SAM2(change(PUBLISHED["sam2.1_hiera_tiny"], image_size=128, precision="highest"))
    options = random_sessions.SETTINGS[setting]
    predictor = SAM2VideoPredictor(model, rule_params(model), fill_hole_area=fill_hole_area, **options)
    with np.load(RECORDED / "video_frames.npz") as frames:
        state = predictor.init_state(frames["frames"])
    with np.load(RECORDED / f"sessions_{setting.replace(' ', '_')}.npz") as recorded:
        theirs = dict(recorded)
    compared = 0
    for number, (name, answers) in enumerate(random_sessions.play(predictor, state, seed)):
        if isinstance(answers, str):
            assert f"{number:02d} {name}: {answers}" in theirs
            compared += 1
            continue
        for frame, ids, masks in answers:
            expected = theirs[f"{number:02d} {name}, frame {frame} of {list(ids)}"]
            assert error(sample(masks), expected) <= 3e-3, (number, name, frame)
            compared += 1
    assert compared == len(theirs)
