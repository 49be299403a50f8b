# SPDX-License-Identifier: Apache-2.0
"""Pictures get the published package's answers, recorded on weights drawn by rule (`recorded/make_images.py`)."""

from pathlib import Path

import numpy as np
import pytest
from image_cases import picture, prompts, sample
from small import rule_params

from sam2_jax.config import PUBLISHED, change
from sam2_jax.model import SAM2
from sam2_jax.predictors import SAM2ImagePredictor
from sam2_jax.predictors.prompts import prepare_prompts
from sam2_jax.segmentation import decode_image

RECORDED = Path(__file__).parent / "recorded"


def predictor_of(name: str, image_size: int, dtype: str = "float32") -> SAM2ImagePredictor:
    model = SAM2(change(PUBLISHED[name], image_size=image_size, dtype=dtype, precision="highest"))
    predictor = SAM2ImagePredictor(model, rule_params(model))
    predictor.set_image(picture())
    return predictor


def recorded(name: str, image_size: int) -> dict[str, np.ndarray]:
    # For pictures 2.0 and 2.1 are one network, and the rule gives them the same weights.
    with np.load(RECORDED / f"image_{name.replace('sam2_', 'sam2.1_')}_{image_size}.npz") as file:
        return dict(file)


def error(ours, theirs) -> float:
    ours = np.asarray(ours, np.float32)
    ours = ours if ours.size == theirs.size else sample(ours)
    return float(np.linalg.norm(ours.ravel() - theirs.ravel()) / np.linalg.norm(theirs))


def channels_first(x) -> np.ndarray:
    return np.moveaxis(np.asarray(x, np.float32), -1, 1)


def answers(predictor: SAM2ImagePredictor) -> dict[str, np.ndarray]:
    """Everything that was recorded, as we say it."""
    features = predictor._features[0]
    outputs = {
        "embedding": predictor.get_image_embedding(),
        "stride_8": channels_first(features.stride_8),
        "stride_4": channels_first(features.stride_4),
    }
    size = predictor.model.config.image_size
    for case, arguments in prompts(size // 4).items():
        masks, ious, low = predictor.predict(**arguments, return_logits=True)
        outputs |= {f"{case}/masks": masks, f"{case}/ious": ious, f"{case}/low": low}
        given = (arguments.get(key) for key in ("point_coords", "point_labels", "box", "mask_input"))
        prepared, objects = prepare_prompts(*given, picture().shape[:2], size)
        decoded = decode_image(predictor.model, predictor.params, features, prepared)
        outputs[f"{case}/object_score"] = np.asarray(decoded.object_score)[0, :objects]
    return outputs


def check(name: str, image_size: int) -> None:
    ours, theirs = answers(predictor_of(name, image_size)), recorded(name, image_size)
    assert ours.keys() == theirs.keys()
    errors = {key: error(ours[key], theirs[key]) for key in theirs}
    assert max(errors.values()) <= 2e-4, errors
    for key in theirs:
        if key.endswith("/masks"):
            mine, other = sample(ours[key]) > 0, sample(theirs[key]) > 0
            assert (mine & other).sum() >= 0.999 * (mine | other).sum(), key


@pytest.mark.parametrize("image_size", [256, pytest.param(512, marks=pytest.mark.slow)])
def test_tiny_gives_the_published_answers_at_small_sizes(image_size):
    check("sam2.1_hiera_tiny", image_size)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_model_gives_the_published_answers_at_its_own_size(name):
    check(name, 1024)


def test_bfloat16_stays_near_float32():
    ours, theirs = answers(predictor_of("sam2.1_hiera_tiny", 256, "bfloat16")), recorded("sam2.1_hiera_tiny", 256)
    errors = {key: error(ours[key], theirs[key]) for key in theirs}
    assert max(errors.values()) <= 3e-2, errors
