# SPDX-License-Identifier: Apache-2.0
"""`SAM2ImagePredictor` keeps the published contract; bad input gets one sentence and harms nothing that was fine."""

import numpy as np
import pytest
from PIL import Image
from small import small_model

from sam2_jax.media import remove_small_regions
from sam2_jax.predictors import SAM2ImagePredictor

PICTURE = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
CLICK = dict(point_coords=np.array([[20, 30]]), point_labels=np.array([1]))


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


@pytest.fixture
def predictor(model_and_params):
    predictor = SAM2ImagePredictor(*model_and_params)
    predictor.set_image(PICTURE)
    return predictor


def test_shapes_and_types_are_the_published_ones(predictor):
    masks, ious, low = predictor.predict(**CLICK)
    assert (masks.shape, ious.shape, low.shape) == ((3, 50, 70), (3,), (3, 16, 16))
    assert masks.dtype == ious.dtype == low.dtype == np.float32
    assert set(np.unique(masks)) <= {0, 1}
    assert low.min() >= -32 and low.max() <= 32
    masks, ious, low = predictor.predict(**CLICK, multimask_output=False)
    assert (masks.shape, ious.shape, low.shape) == ((1, 50, 70), (1,), (1, 16, 16))
    masks, ious, low = predictor.predict(box=np.array([[1, 2, 30, 40], [5, 5, 60, 45]]), multimask_output=False)
    assert (masks.shape, ious.shape, low.shape) == ((2, 1, 50, 70), (2, 1), (2, 1, 16, 16))
    assert predictor.get_image_embedding().shape == (1, 32, 4, 4)


def test_logits_and_threshold_tell_the_same_masks(model_and_params, predictor):
    logits, _, _ = predictor.predict(**CLICK, return_logits=True)
    assert np.array_equal(predictor.predict(**CLICK)[0], logits > 0)
    strict = SAM2ImagePredictor(*model_and_params, mask_threshold=1.5)
    strict.set_image(PICTURE)
    assert np.array_equal(strict.predict(**CLICK)[0], logits > 1.5)


def test_normalized_coordinates_are_fractions_of_the_picture(predictor):
    fraction = dict(point_coords=np.array([[20 / 70, 30 / 50]]), point_labels=np.array([1]), normalize_coords=False)
    np.testing.assert_allclose(predictor.predict(**fraction)[2], predictor.predict(**CLICK)[2], rtol=1e-4, atol=1e-4)


def test_a_path_a_pil_image_and_an_array_are_the_same_picture(predictor, tmp_path):
    expected = predictor.get_image_embedding()
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    for source in (tmp_path / "picture.png", str(tmp_path / "picture.png"), Image.fromarray(PICTURE)):
        predictor.set_image(source)
        assert np.array_equal(predictor.get_image_embedding(), expected)


def test_a_batch_gives_what_its_pictures_give(model_and_params, predictor):
    pictures = [PICTURE, PICTURE[::-1, :40].copy(), PICTURE[:, ::-1].copy()]
    batch = SAM2ImagePredictor(*model_and_params)
    batch.set_image_batch(pictures)
    assert batch.get_image_embedding().shape == (3, 32, 4, 4)
    points = [np.array([[10, 10]]), np.array([[3, 4], [5, 6]]), np.array([[[9, 9]], [[30, 30]]])]
    labels = [np.array([1]), np.array([1, 0]), np.array([[1], [1]])]
    answers = batch.predict_batch(points, labels, return_logits=True)
    for index, picture in enumerate(pictures):
        predictor.set_image(picture)
        alone = predictor.predict(points[index], labels[index], return_logits=True)
        for ours, theirs in zip(answers, alone):
            np.testing.assert_allclose(ours[index], theirs, rtol=1e-4, atol=1e-4)


def test_holes_and_sprinkles_are_removed_from_the_masks_alone(model_and_params, predictor):
    plain, _, low = predictor.predict(**CLICK, return_logits=True)
    tidy = SAM2ImagePredictor(*model_and_params, max_hole_area=4, max_sprinkle_area=4)
    tidy.set_image(PICTURE)
    cleaned, _, tidy_low = tidy.predict(**CLICK, return_logits=True)
    assert np.array_equal(low, tidy_low)
    removed = remove_small_regions(low, 0, 4, 4)
    assert (removed != low).any(), "the case has no small region and would prove nothing"
    assert not np.array_equal(plain, cleaned)


def test_an_earlier_answer_is_a_prompt(predictor):
    _, _, low = predictor.predict(**CLICK)
    again = predictor.predict(**CLICK, mask_input=low[:1], multimask_output=False)[2]
    assert not np.allclose(again, predictor.predict(**CLICK, multimask_output=False)[2])
    assert predictor.predict(mask_input=low[:1])[0].shape == (3, 50, 70)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_tiny_and_thin_pictures_work(predictor, shape):
    predictor.set_image(np.zeros((*shape, 3), np.uint8))
    masks, ious, _ = predictor.predict(np.array([[0, 0]]), np.array([1]))
    assert masks.shape == (3, *shape) and np.isfinite(ious).all()


@pytest.mark.slow
def test_a_picture_of_a_hundred_million_pixels_works(predictor):
    predictor.set_image(np.zeros((10_000, 10_000, 3), np.uint8))
    assert predictor.predict(**CLICK, multimask_output=False)[0].shape == (1, 10_000, 10_000)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_grey_transparent_palette_and_deep_pictures_are_taken(predictor, mode, tmp_path):
    picture = Image.fromarray(PICTURE[..., 0].astype(np.uint16) << 8) if mode == "I;16" else None
    (picture or Image.fromarray(PICTURE).convert(mode)).save(tmp_path / "picture.png")
    predictor.set_image(tmp_path / "picture.png")
    assert np.isfinite(predictor.predict(**CLICK)[2]).all()


BAD_PROMPTS = {
    "no prompt": (dict(), "There is no prompt"),
    "points without labels": (dict(point_coords=np.zeros((1, 2))), "without point_labels"),
    "labels without points": (dict(point_labels=np.ones(1)), "without point_coords"),
    "labels of another length": (
        dict(point_coords=np.zeros((2, 2)), point_labels=np.ones(3)),
        r"point_labels has the shape \(3,\); expected \(2,\)",
    ),
    "unknown label": (dict(point_coords=np.zeros((1, 2)), point_labels=np.array([7])), "holds 7; expected 1"),
    "points of three numbers": (
        dict(point_coords=np.zeros((1, 3)), point_labels=np.ones(1)),
        r"point_coords has the shape \(1, 3\)",
    ),
    "a point outside": (
        dict(point_coords=np.array([[71, 10]]), point_labels=np.ones(1)),
        r"The point \(71, 10\) is outside the picture, which is 70 wide and 50 high",
    ),
    "a point that is no number": (
        dict(point_coords=np.array([[np.nan, 1]]), point_labels=np.ones(1)),
        "point_coords holds a value that is not finite",
    ),
    "words": (dict(point_coords=[["a", "b"]], point_labels=np.ones(1)), "expected numbers"),
    "a box inside out": (dict(box=np.array([30, 10, 20, 40])), r"The box \(30, 10, 20, 40\) has no area"),
    "a box elsewhere": (dict(box=np.array([100, 100, 120, 120])), "is outside the picture"),
    "half a box": (dict(box=np.array([1, 2])), r"box has the shape \(2,\)"),
    "a mask of another size": (
        dict(mask_input=np.zeros((1, 50, 70))),
        r"mask_input has the shape \(1, 50, 70\); expected \(1, 16, 16\)",
    ),
    "prompts for different numbers of objects": (
        dict(box=np.array([[1, 1, 9, 9]] * 3), **CLICK),
        "Prompts are for 1 and 3 objects; expected one number",
    ),
}


@pytest.mark.parametrize(("prompt", "sentence"), BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_a_bad_prompt_gets_one_sentence_and_the_picture_stays(predictor, prompt, sentence):
    before = predictor.predict(**CLICK)[2]
    with pytest.raises(ValueError, match=sentence) as caught:
        predictor.predict(**prompt)
    assert "\n" not in str(caught.value)
    assert np.array_equal(predictor.predict(**CLICK)[2], before)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((0, 10, 3), np.uint8), np.zeros((10, 10, 3), np.float32), np.zeros((3, 10, 10), np.uint8), 7],
    ids=["empty", "float", "channels first", "a number"],
)
def test_a_bad_picture_gets_one_sentence_and_the_one_before_stays(predictor, picture):
    before = predictor.predict(**CLICK)[2]
    with pytest.raises(ValueError) as caught:
        predictor.set_image(picture)
    assert "\n" not in str(caught.value)
    assert np.array_equal(predictor.predict(**CLICK)[2], before)


def test_the_order_of_calls_is_explained(model_and_params, predictor):
    empty = SAM2ImagePredictor(*model_and_params)
    for call in (lambda: empty.predict(**CLICK), empty.get_image_embedding):
        with pytest.raises(RuntimeError, match="No picture is set; call set_image first"):
            call()
    with pytest.raises(RuntimeError, match="call set_image_batch before predict_batch"):
        predictor.predict_batch()
    predictor.set_image_batch([PICTURE])
    with pytest.raises(RuntimeError, match="call predict_batch"):
        predictor.predict(**CLICK)
    with pytest.raises(ValueError, match="point_coords_batch has 2 entries; expected 1"):
        predictor.predict_batch([np.zeros((1, 2))] * 2, [np.ones(1)] * 2)
    with pytest.raises(ValueError, match="expected a list of at least one picture"):
        predictor.set_image_batch([])
    predictor.reset_predictor()
    with pytest.raises(RuntimeError, match="No picture is set"):
        predictor.predict(**CLICK)
