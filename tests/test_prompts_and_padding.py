# SPDX-License-Identifier: Apache-2.0
"""Padding changes nothing, objects get in company what they get alone, a click more compiles nothing, and is heeded."""

import jax
import numpy as np
import pytest
from small import small_model

from sam2_jax.buckets import bucket
from sam2_jax.config import SAM2Config
from sam2_jax.model.mask_decoder import ambiguous_mask, heeds
from sam2_jax.model.sam2 import enlarge
from sam2_jax.predictors import SAM2ImagePredictor
from sam2_jax.segmentation import decode_image, encode_frames, segment_image
from sam2_jax.types import DecodedMasks, Label, Prompts

CLICKS = np.array([[10.0, 12.0], [40.0, 30.0], [5.0, 60.0]], np.float32)
LABELS = np.array([1, 0, 1])


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


@pytest.fixture
def predictor(model_and_params, frames):
    predictor = SAM2ImagePredictor(*model_and_params)
    predictor.set_image(frames[0].astype(np.uint8))
    return predictor


def padded_prompts(points, labels, points_more=0, objects_more=0, wild=0.0) -> Prompts:
    """One object's prompt, with padding that holds `wild` values."""
    points = np.pad(points, ((0, points_more), (0, 0)), constant_values=wild)
    labels = np.pad(labels, (0, points_more), constant_values=Label.PADDING)
    all_points = np.full((1, 1 + objects_more, *points.shape), wild, np.float32)
    all_labels = np.full((1, 1 + objects_more, len(labels)), Label.PADDING, np.int32)
    all_points[0, 0], all_labels[0, 0] = points, labels
    return Prompts(points=all_points, labels=all_labels)


@pytest.mark.parametrize("points_more", [1, 5, 29])
@pytest.mark.parametrize("objects_more", [0, 3])
def test_padding_changes_nothing_whatever_it_holds(model_and_params, frames, points_more, objects_more):
    model, params = model_and_params
    features = encode_frames(model, params, frames[:1])
    alone = decode_image(model, params, features, padded_prompts(CLICKS, LABELS))
    padded = decode_image(model, params, features, padded_prompts(CLICKS, LABELS, points_more, objects_more, 777.0))
    for ours, theirs in zip(jax.tree.leaves(alone), jax.tree.leaves(padded)):
        np.testing.assert_allclose(ours[0, 0], theirs[0, 0], rtol=1e-5, atol=1e-5)


def test_sixteen_objects_get_what_each_gets_alone(predictor):
    rng = np.random.default_rng(1)
    points, labels = rng.uniform(0, 64, (16, 3, 2)), rng.integers(0, 2, (16, 3))
    together = predictor.predict(points, labels, return_logits=True)
    for index in range(16):
        alone = predictor.predict(points[index], labels[index], return_logits=True)
        for ours, theirs in zip(alone, together):
            np.testing.assert_allclose(ours, theirs[index], rtol=1e-4, atol=1e-4)


def test_objects_without_a_mask_are_not_touched_by_those_with_one(model_and_params, frames):
    model, params = model_and_params
    features = encode_frames(model, params, frames[:1])
    plain = padded_prompts(CLICKS, LABELS, objects_more=1)
    masks = np.full((1, 2, 16, 16), 3, np.float32)
    mixed = plain.replace(masks=masks, has_mask=np.array([[False, True]]))
    ours = decode_image(model, params, features, mixed).logits[0, 0]
    np.testing.assert_allclose(ours, decode_image(model, params, features, plain).logits[0, 0], rtol=1e-5, atol=1e-5)
    touched = decode_image(model, params, features, plain.replace(masks=masks)).logits[0, 0]
    assert np.abs(ours - touched).max() > 0.01


def test_the_batched_path_equals_the_predictor(model_and_params, frames, predictor):
    model, params = model_and_params
    points = np.concatenate([CLICKS, np.zeros((1, 2), np.float32)])
    labels = np.concatenate([LABELS, [Label.NOT_A_POINT]])
    prompts = Prompts(points=np.broadcast_to(points, (2, 1, 4, 2)), labels=np.broadcast_to(labels, (2, 1, 4)))
    whole = frames.astype(np.uint8)
    batch = segment_image(model, params, whole, prompts, True)
    for index, picture in enumerate(whole):
        predictor.set_image(picture)
        _, ious, low = predictor.predict(CLICKS, LABELS)
        np.testing.assert_allclose(np.clip(batch.logits[index, 0], -32, 32), low, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(batch.ious[index, 0], ious, rtol=1e-5, atol=1e-5)


def test_one_prompt_more_or_less_compiles_nothing(predictor):
    box = np.array([10, 10, 40, 40])
    predictor.predict(CLICKS[:1], LABELS[:1])
    predictor.predict(box=np.tile(box, (3, 1)))
    compiled = decode_image.jitted._cache_size()
    for count in (1, 2, 3):
        predictor.predict(CLICKS[:count], LABELS[:count])
    predictor.predict(CLICKS[:1], LABELS[:1], box=box)
    predictor.predict(box=box)
    predictor.predict(box=np.tile(box, (4, 1)))
    assert decode_image.jitted._cache_size() == compiled


def test_pictures_of_other_sizes_compile_nothing(predictor):
    predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    predictor.predict(CLICKS[:1], LABELS[:1])
    compiled = encode_frames.jitted._cache_size(), decode_image.jitted._cache_size()
    for height, width in ((33, 100), (200, 61), (1000, 700)):
        predictor.set_image(np.zeros((height, width, 3), np.uint8))
        assert predictor.predict(CLICKS[:1], LABELS[:1])[0].shape == (3, height, width)
    assert (encode_frames.jitted._cache_size(), decode_image.jitted._cache_size()) == compiled


def test_buckets_are_powers_of_two():
    assert [bucket(count) for count in (1, 2, 3, 4, 5, 8, 9)] == [1, 2, 4, 4, 8, 8, 16]
    assert bucket(2, fewest=4) == 4


def test_a_mask_heeds_the_clicks_that_are_on_their_right_side_as_it_is_seen():
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((2, 3, 4, 16, 16), np.float32)
    seen = np.asarray(enlarge(logits, 64)) > 0
    points, labels = rng.integers(0, 64, (2, 3, 5, 2)), rng.integers(-2, 4, (2, 3, 5))
    points[:, :, 0], labels[:, :, 0] = (0, 63), rng.integers(0, 2, (2, 3))  # in a corner
    ours = np.asarray(heeds(logits, Prompts(points=points.astype(np.float32), labels=labels)))
    for video, object_, mask in np.ndindex(ours.shape):
        clicks = zip(points[video, object_], labels[video, object_])
        right = [seen[video, object_, mask, y, x] == label for (x, y), label in clicks if label in (0, 1)]
        assert ours[video, object_, mask] == all(right)
    assert 0 < ours.sum() < ours.size


def test_a_click_is_heeded_where_a_mask_heeds_it_and_the_config_says_so():
    logits = np.full((1, 3, 4, 16, 16), -1.0, np.float32)
    logits[0, :, [0, 3], :8] = 1.0  # the upper half is in mask 0, which is for clear prompts, and in mask 3
    ious = np.broadcast_to(np.float32([0.9, 0.6, 0.8, 0.1]), (1, 3, 4))
    decoded = DecodedMasks(logits, ious, tokens=np.zeros((1, 3, 4, 8)), object_score=np.ones((1, 3)))
    points = np.broadcast_to(np.float32([20.0, 10.0]), (1, 3, 2, 2))
    prompts = Prompts(points, np.array([[[1, -1], [0, -1], [-1, -1]]]))  # in it, not in it, and no click

    def chosen(heed_clicks):
        return np.asarray(ambiguous_mask(SAM2Config(heed_clicks=heed_clicks), decoded, prompts))[0].tolist()

    assert chosen(True) == [3, 2, 2]
    assert chosen(False) == [2, 2, 2]
    # Where none heeds it, the best is taken.
    decoded = decoded.replace(logits=-np.ones_like(logits))
    assert chosen(True) == [2, 2, 2]
