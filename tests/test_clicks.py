# SPDX-License-Identifier: Apache-2.0
"""A simulated user clicks where the published one does: at the same centres, and uniformly where that one can click."""

import re
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sam2_jax import clicks
from sam2_jax.types import Label

RECORDED = np.load(Path(__file__).parent / "recorded" / "clicks.npz")
SIZES = ["odd", "wide", "square", "row", "column", "pixel"]
RANDOM = np.random.default_rng(0)
BLOBS = cv2.GaussianBlur(RANDOM.random((40, 70, 6)), (0, 0), 4).transpose(2, 0, 1).reshape(3, 2, 40, 70) > 0.5
TRUTH, PREDICTION = BLOBS[:, 0], BLOBS[:, 1]
centre_click, uniform_click = jax.jit(clicks.centre_click), jax.jit(clicks.uniform_click)


def recorded_masks(case: str) -> tuple[np.ndarray, np.ndarray]:
    shape = RECORDED[f"{case}_size"]
    return tuple(
        np.unpackbits(RECORDED[f"{case}_{which}"], count=shape.prod()).reshape(shape).astype(bool)
        for which in ("truth", "prediction")
    )


def as_rows(points_and_labels) -> np.ndarray:
    """(N, 3) integers x, y, label."""
    points, labels = points_and_labels
    assert points.dtype == jnp.float32 and labels.dtype == jnp.int32
    return np.concatenate([points, labels[:, None]], axis=1).astype(int)


def depth(mask: np.ndarray, x: int, y: int) -> float:
    """The squared distance of a pixel to the background, a whole number."""
    return np.rint(np.square(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 0)[y + 1, x + 1]))


@pytest.mark.parametrize("case", SIZES)
def test_a_centre_click_is_the_published_one(case):
    truth, prediction = recorded_masks(case)
    others = []
    for which, predicted in (("error", prediction), ("truth", np.zeros_like(truth))):
        ours = as_rows(centre_click(truth, predicted) if which == "error" else centre_click(truth))
        for click, published, true, mask in zip(ours, RECORDED[f"{case}_centre_of_{which}"], truth, predicted):
            if (click != published).any():  # only where both are as deep, but for OpenCV's rounding
                assert click[2] == published[2]
                region = true & ~mask if click[2] else ~true & mask
                assert depth(region, *click[:2]) == depth(region, *published[:2])
                others.append(published)
    assert len(others) <= (case == "square")  # one of all


@pytest.mark.parametrize("case", SIZES)
def test_a_box_and_a_noisy_box_are_the_published_ones(case, monkeypatch):
    truth, _ = recorded_masks(case)
    np.testing.assert_array_equal(clicks.box(truth), RECORDED[f"{case}_box"])
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: RECORDED[f"{case}_draws"].reshape(shape))
    noisy = clicks.noisy_box(jax.random.key(0), truth)
    np.testing.assert_allclose(noisy, RECORDED[f"{case}_noisy_box"], rtol=1e-6, atol=1e-6)


def test_a_noisy_box_is_off_by_a_tenth_and_by_20_pixels_at_most():
    small, large = np.zeros((2, 600, 800), bool)
    small[100:151, 200:301] = True  # 50 by 100 from its first pixel to its last
    large[0:500, 100:700] = True
    keys, masks = jax.random.split(jax.random.key(0), 500), np.stack([small, large])
    boxes = jax.jit(jax.vmap(clicks.noisy_box, (0, None)))(keys, masks)
    off = np.abs(boxes - clicks.box(masks)).max(0)
    assert (off <= np.array([[[10, 5]] * 2, [[20, 20]] * 2]) + 1e-4).all()
    assert (off[0] > [9.7, 4.85]).all() and (off[1] > 19.5).all()
    assert boxes[:, 1, 0, 1].min() == 0  # the side at the edge stays in the frame


def test_uniform_clicks_hit_what_the_published_ones_hit_and_all_of_it():
    truth, prediction = recorded_masks("uniform")
    keys = jax.random.split(jax.random.key(0), 1000)
    for which, other in (("error", prediction), ("truth", None)):
        points, labels = jax.jit(jax.vmap(clicks.uniform_click, (0, None, None)))(keys, truth, other)
        hit = np.zeros((*truth.shape, 2), bool)
        x, y = np.moveaxis(np.asarray(points), -1, 0).astype(int)
        hit[np.arange(len(truth)), y, x, labels] = True
        np.testing.assert_array_equal(hit.reshape(-1), np.unpackbits(RECORDED[f"uniform_in_{which}"], count=hit.size))


def test_every_wrong_pixel_is_clicked_as_often_as_any_other():
    truth, prediction = TRUTH[0], PREDICTION[0]
    draws = 200_000
    click = jax.jit(jax.vmap(lambda key: clicks.uniform_click(key, truth, prediction)))
    points, labels = click(jax.random.split(jax.random.key(1), draws))
    x, y = np.asarray(points).astype(int).T
    counts = np.zeros(truth.shape, int)
    np.add.at(counts, (y, x), 1)
    errors = truth ^ prediction
    assert counts[~errors].sum() == 0
    assert (np.asarray(labels) == truth[y, x]).all()
    expected = draws / errors.sum()
    chi_square, freedom = ((counts[errors] - expected) ** 2 / expected).sum(), errors.sum() - 1
    assert abs(chi_square - freedom) < 4 * np.sqrt(2 * freedom)


def test_a_click_costs_a_random_number_and_not_one_for_each_pixel():
    program = str(jax.make_jaxpr(clicks.uniform_click)(jax.random.key(0), TRUTH, PREDICTION))
    shapes = re.findall(r"u32\[([\d,]*)\] = random_bits", program)
    assert shapes and all(shape == str(len(TRUTH)) for shape in shapes)


def test_an_object_that_is_absent_gets_a_background_click_anywhere():
    keys = jax.random.split(jax.random.key(0), 500)
    points, labels = jax.jit(jax.vmap(clicks.uniform_click, (0, None)))(keys, np.zeros((3, 4), bool))
    assert (labels == Label.BACKGROUND).all()
    assert len(np.unique(points, axis=0)) == 12


@pytest.mark.parametrize("click", [lambda t, p: uniform_click(jax.random.key(0), t, p), centre_click])
def test_where_nothing_is_wrong_and_there_is_no_background_the_click_is_at_the_origin(click):
    everything = np.ones((3, 4), bool)
    points, labels = click(everything, everything)
    assert points.tolist() == [0, 0] and labels == Label.BACKGROUND


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (33, 57), (64, 64)])
@pytest.mark.parametrize("padding", [True, False])
def test_the_distance_is_exact(shape, padding):
    masks = np.stack([RANDOM.random(shape) > share for share in (0.5, 0.02, 0.002)] + [np.ones(shape, bool)])
    masks[:3, shape[0] // 2, shape[1] // 2] = False  # OpenCV's distance to no background at all is arbitrary
    ours = np.asarray(jax.jit(clicks.distance_to_background, static_argnums=1)(masks, padding))
    for mask, distance in zip(masks, ours):
        if not padding and mask.all():
            assert np.isinf(distance).all()
            continue
        padded = np.pad(mask, int(padding)).astype(np.uint8)
        expected = cv2.distanceTransform(padded, cv2.DIST_L2, 0)
        expected = expected[1:-1, 1:-1] if padding else expected
        # Both take a square root in float32 that may be off by the last bit; the squares are whole numbers.
        squares, expected_squares = (np.rint(np.square(values, dtype=np.float64)) for values in (distance, expected))
        np.testing.assert_array_equal(squares, expected_squares)
        np.testing.assert_allclose(distance, expected, rtol=3e-7)


def test_masks_are_clicked_on_in_a_batch_as_alone():
    expected = [as_rows(jax.tree.map(lambda x: x[None], centre_click(*pair))) for pair in zip(TRUTH, PREDICTION)]
    np.testing.assert_array_equal(as_rows(centre_click(TRUTH, PREDICTION)), np.concatenate(expected))
    np.testing.assert_array_equal(as_rows(jax.vmap(centre_click)(TRUTH, PREDICTION)), np.concatenate(expected))
    points, labels = centre_click(TRUTH[:, None], PREDICTION[:, None])
    assert points.shape == (3, 1, 2) and labels.shape == (3, 1)
    keys = jax.random.split(jax.random.key(0), 3)
    alone = [uniform_click(*arguments) for arguments in zip(keys, TRUTH, PREDICTION)]
    together = jax.jit(jax.vmap(clicks.uniform_click))(keys, TRUTH, PREDICTION)
    for ours, theirs in zip(together, zip(*alone)):
        np.testing.assert_array_equal(ours, np.stack(theirs))


def test_the_same_key_clicks_at_the_same_place_and_objects_do_not_share_their_draw():
    first, again = (uniform_click(jax.random.key(3), TRUTH, PREDICTION) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    alike = np.repeat(TRUTH[:1], 8, axis=0)
    points, _ = uniform_click(jax.random.key(3), alike)
    assert len(np.unique(points, axis=0)) > 4


@pytest.mark.parametrize(
    ("truth", "prediction", "sentence"),
    [
        (TRUTH.astype(np.float32), None, r"truth is float32 \(3, 40, 70\); expected bool"),
        (TRUTH, PREDICTION[:, :-1], r"prediction is bool \(3, 39, 70\); expected bool .* as large as the truth"),
        (TRUTH[0, 0], None, r"truth is bool \(70,\)"),
    ],
)
def test_masks_that_are_none_are_refused(truth, prediction, sentence):
    with pytest.raises(ValueError, match=sentence):
        clicks.centre_click(truth, prediction)
    with pytest.raises(ValueError, match=sentence):
        clicks.uniform_click(jax.random.key(0), truth, prediction)
