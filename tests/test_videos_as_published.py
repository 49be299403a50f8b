# SPDX-License-Identifier: Apache-2.0
"""Video sessions get the published package's answers, recorded on weights drawn by rule (`recorded/make_videos.py`)."""

from pathlib import Path

import numpy as np
import pytest
from small import rule_params
from video_cases import sample, session

from sam2_jax.config import PUBLISHED, change
from sam2_jax.model import SAM2
from sam2_jax.predictors import SAM2VideoPredictor

RECORDED = Path(__file__).parent / "recorded"


def check(name: str, image_size: int, corrections_count: bool) -> None:
    model = SAM2(change(PUBLISHED[name], image_size=image_size))
    compat = None if corrections_count else "official"
    predictor = SAM2VideoPredictor(model, rule_params(model), fill_hole_area=0, compat=compat)
    with np.load(RECORDED / "video_frames.npz") as file:
        state = predictor.init_state(file["frames"])
    suffix = "_corrections_count" if corrections_count else ""
    with np.load(RECORDED / f"video_{name}_{image_size}{suffix}.npz") as file:
        theirs = dict(file)
    ours = {step: sample(answer) for step, answer in session(predictor, state).items()}
    assert ours.keys() == theirs.keys()
    for step, expected in theirs.items():
        answer = ours[step]
        assert answer.shape == expected.shape, step
        error = np.linalg.norm(answer - expected) / np.linalg.norm(expected)
        assert error <= 3e-3, (step, error)
        both, either = ((answer > 0) & (expected > 0)).sum(), ((answer > 0) | (expected > 0)).sum()
        assert both >= 0.995 * either, step
    first = np.linalg.norm(ours["propagate"][1] - theirs["propagate"][1]) / np.linalg.norm(theirs["propagate"][1])
    assert first <= 3e-4


def test_the_published_session_is_answered_as_published():
    check("sam2.1_hiera_tiny", 256, corrections_count=False)


@pytest.mark.parametrize("name", ["sam2.1_hiera_tiny", "sam2_hiera_tiny"])
def test_a_session_whose_corrections_count_is_answered_as_published(name):
    check(name, 256, corrections_count=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "image_size"), [("sam2.1_hiera_base_plus", 256), ("sam2.1_hiera_tiny", 512)])
def test_larger_models_and_inputs_too(name, image_size):
    check(name, image_size, corrections_count=True)
