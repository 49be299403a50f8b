# SPDX-License-Identifier: Apache-2.0
"""Clips are cut and changed as the paper says: frames and objects, geometry and colour, against recorded results.

In: videos made up in memory, and what the published transforms gave (tests/recorded/make_augmentations.py).
"""

import pathlib

import jax
import numpy as np
import pytest
from clip_cases import MemorySource
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augmentation import (
    PICTURE_AUGMENTATION,
    VIDEO_AUGMENTATION,
    Augmentation,
    Geometry,
    Jitter,
    draw_colour,
    draw_geometry,
)
from data.geometry import FILL, resize_frame, transform_clip
from data.sampling import LONG_VIDEO_RULE, PICTURE_RULE, VIDEO_RULE, ClipRule, most_edited_half, sample_clip
from train.colour import jitter

RECORDED = np.load(pathlib.Path(__file__).parent / "recorded" / "augmentations.npz")
CASES = sorted(name[9:-5] for name in RECORDED.files if name.startswith("geometry_") and name.endswith("_draw"))
SOURCE = MemorySource()


def clips(source, index, rule, count=200, candidates=None):
    return [sample_clip(source, index, rule, np.random.default_rng((5, i)), candidates) for i in range(count)]


# Frames and objects


def test_a_clip_is_consecutive_annotated_frames_half_of_them_backward():
    annotated = SOURCE.video(3).annotated
    backward = starts = 0
    for clip in clips(SOURCE, 3, VIDEO_RULE):
        frames = clip.frames if clip.frames[0] < clip.frames[-1] else clip.frames[::-1]
        assert len(frames) == 8
        start = annotated.index(frames[0])
        assert frames == annotated[start : start + 8]
        backward += clip.frames != frames
        starts |= 1 << start
    assert 70 < backward < 130
    assert starts == (1 << 8) - 1  # each of the 8 possible starts


def test_time_runs_forward_only_where_asked():
    assert all(clip.frames[0] < clip.frames[-1] for clip in clips(SOURCE, 3, ClipRule(reverse=0.0)))
    assert all(clip.frames[0] > clip.frames[-1] for clip in clips(SOURCE, 3, ClipRule(reverse=1.0)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 9), objects=st.integers(1, 6), index=st.integers(0, 3))
def test_every_object_of_a_clip_is_in_sight_on_its_first_frame(seed, frames, objects, index):
    clip = sample_clip(SOURCE, index, ClipRule(frames, objects), np.random.default_rng(seed))
    areas = SOURCE.areas(index, clip.frames[0])
    assert (areas[list(clip.objects)] > 0).all()
    assert len(set(clip.objects)) == len(clip.objects) == min(objects, (areas > 0).sum())
    assert clip == sample_clip(SOURCE, index, ClipRule(frames, objects), np.random.default_rng(seed))


def test_every_object_in_sight_is_drawn_at_times():
    drawn = {clip.objects for clip in clips(SOURCE, 0, ClipRule(frames=2, objects=1))}
    assert drawn == {(0,), (1,), (2,), (3,)}


def test_a_start_without_objects_is_not_used_and_a_video_of_such_has_no_clip():
    for clip in clips(SOURCE, 0, ClipRule(frames=2), candidates=(1,)):
        assert clip.objects == (1,)
        assert SOURCE.areas(0, clip.frames[0])[1] > 0
    assert sample_clip(MemorySource(hidden=[1]), 1, VIDEO_RULE, np.random.default_rng(0)) is None


def test_a_video_with_fewer_annotated_frames_has_no_clip():
    assert len(SOURCE.video(2).annotated) == 9
    assert sample_clip(SOURCE, 2, ClipRule(frames=10), np.random.default_rng(0)) is None
    assert sample_clip(SOURCE, 2, ClipRule(frames=9), np.random.default_rng(0)).frames[0] in (0, 16)


def test_masks_over_most_of_a_picture_and_masks_too_small_are_not_drawn():
    pictures = MemorySource(lengths=(1,), size=(12, 20), objects=6)
    share = pictures.areas(0, 0) / (12 * 20)
    least, most = (float(np.sort(share[share > 0])[place]) for place in (1, -2))
    for rule, drawn in (
        (ClipRule(frames=1, objects=64, largest_share=most), (share > 0) & (share <= most)),
        (ClipRule(frames=1, objects=64, smallest_share=least), share >= least),
    ):
        assert sample_clip(pictures, 0, rule, np.random.default_rng(0)).objects == tuple(np.flatnonzero(drawn))
    assert (PICTURE_RULE.frames, PICTURE_RULE.objects, PICTURE_RULE.largest_share) == (1, 64, 0.9)


def test_the_most_edited_half_is_kept_and_no_other():
    source = MemorySource(edited=[(5, 0, 9, 1), (0, 0, 0, 0), (7, 7, 0, 2), (3, 1, 0, 0)])
    half = most_edited_half(source)
    assert half == {0: (0, 2, 3), 2: (0, 1, 3), 3: (0, 1)}
    assert LONG_VIDEO_RULE.most_edited_half and LONG_VIDEO_RULE.frames == 16
    with pytest.raises(ValueError, match=r"memory does not say on how many frames the objects of video0 were edited"):
        most_edited_half(SOURCE)


@pytest.mark.parametrize(
    "wrong", [dict(frames=0), dict(objects=0), dict(reverse=1.5), dict(largest_share=0), dict(smallest_share=1)]
)
def test_rules_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="came"):
        ClipRule(**wrong)


# Geometry


def transformed(case):
    frames, masks = RECORDED[f"geometry_{case}_frames"], RECORDED[f"geometry_{case}_masks"]
    flip, angle, shear, row, column = RECORDED[f"geometry_{case}_draw"]
    geometry = Geometry(bool(flip), angle, shear, None if row < 0 else (int(row), int(column)))
    size = RECORDED[f"geometry_{case}_frames_out"].shape[1]
    frames_out, masks_out = np.empty((2, size, size, 3), np.uint8), np.ones((2, 3, size, size), bool)
    turned = transform_clip(frames, masks, geometry, frames_out, masks_out)
    covered = np.empty_like(frames_out)
    transform_clip(np.full_like(frames, 255), masks, geometry, covered, masks_out.copy())
    return turned, frames_out, masks_out, (covered == 255).all(axis=-1)


@pytest.mark.parametrize("case", CASES)
def test_masks_are_the_published_ones_to_the_pixel(case):
    _, _, masks, _ = transformed(case)
    np.testing.assert_array_equal(masks[:, :2], RECORDED[f"geometry_{case}_masks_out"])
    assert not masks[:, 2].any()


@pytest.mark.parametrize("case", CASES)
def test_frames_are_the_published_ones_but_at_the_rim_of_what_is_filled(case):
    turned, frames, _, inside = transformed(case)
    difference = np.abs(frames.astype(int) - RECORDED[f"geometry_{case}_frames_out"])
    assert inside.mean() > 0.5
    # Pillow's rotation rounds down, OpenCV's to the nearest 32nd of a pixel.
    assert difference[inside].max() <= (8 if turned else 1)
    assert difference[inside].mean() < (0.8 if turned else 0.3)
    assert turned == (case not in ("shrunk", "grown_and_flipped", "lost_when_turned"))


def test_rotation_is_given_up_where_an_object_would_leave_the_first_frame():
    turned, frames, masks, _ = transformed("lost_when_turned")
    assert not turned
    assert masks[0, 0].any()
    assert not (frames == FILL).all(axis=-1).any()


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    side=st.integers(2, 50),
    objects=st.integers(1, 3),
)
def test_any_clip_becomes_a_square_one(seed, size, side, objects):
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 256, (2, *size, 3), np.uint8)
    masks = generator.random((2, objects, *size)) > generator.random()
    frames_out = np.empty((2, side, side, 3), np.uint8)
    masks_out = np.empty((2, 4, side, side), bool)
    geometry = draw_geometry(Augmentation(mosaic=0.5), generator)
    transform_clip(frames, masks, geometry, frames_out, masks_out)
    assert np.isin(masks_out.view(np.uint8), (0, 1)).all()
    assert not masks_out[:, objects:].any()
    again = np.empty_like(frames_out), np.empty_like(masks_out)
    transform_clip(frames, masks, geometry, *again)
    np.testing.assert_array_equal(frames_out, again[0])
    np.testing.assert_array_equal(masks_out, again[1])


@pytest.mark.parametrize("quadrant", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_mosaic_shows_the_clip_four_times_and_the_objects_once(quadrant):
    frames = SOURCE.frames(0, range(2))
    masks = SOURCE.masks(0, [0, 2], [0, 1, 3])
    frames_out, masks_out = np.empty((2, 32, 32, 3), np.uint8), np.empty((2, 3, 32, 32), bool)
    transform_clip(frames, masks, Geometry(quadrant=quadrant), frames_out, masks_out)
    tile = frames_out[:, :16, :16]
    for rows in (slice(16), slice(16, 32)):
        for columns in (slice(16), slice(16, 32)):
            np.testing.assert_array_equal(frames_out[:, rows, columns], tile)
    row, column = quadrant
    inside = masks_out[:, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    assert inside.sum() == masks_out.sum() > 0


def test_frames_shrink_with_antialias():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(resize_frame(stripes, 16, 16)[:, 2:-2].astype(int)) <= 2


# Draws


def test_draws_are_as_often_and_as_far_as_table_12_says():
    generator = np.random.default_rng(0)
    geometries = [draw_geometry(VIDEO_AUGMENTATION, generator) for _ in range(2000)]
    assert 0.45 < np.mean([g.flip for g in geometries]) < 0.55
    tiles = [g.quadrant for g in geometries if g.quadrant]
    assert 0.08 < len(tiles) / 2000 < 0.12
    assert set(tiles) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    angles, shears = np.array([(g.angle, g.shear) for g in geometries]).T
    assert 24 < angles.max() <= 25 and -25 <= angles.min() < -24
    assert 19 < shears.max() <= 20 and -20 <= shears.min() < -19
    colours = [draw_colour(VIDEO_AUGMENTATION, 8, generator) for _ in range(1000)]
    factors = np.stack([c["factors"] for c in colours])
    assert (factors[:, :, 0] == factors[:, :1, 0]).all()  # the clip's, alike on all its frames
    assert (factors[:, 0, 1] != factors[:, 1, 1]).all()  # each frame's own
    far = np.abs(factors - 1).max(axis=(0, 1))
    np.testing.assert_allclose(far, [[0.1, 0.03, 0.03], [0.1, 0.05, 0.05]], rtol=0.01)
    orders = np.stack([c["order"] for c in colours])
    assert (orders[:, :, 0] == orders[:, :1, 0]).all()
    assert len(np.unique(orders[:, 0, 0], axis=0)) == len(np.unique(orders[:, 3, 1], axis=0)) == 6
    grayscale = np.stack([c["grayscale"] for c in colours])
    assert (grayscale == grayscale[:, :1]).all()
    assert 0.03 < grayscale.mean() < 0.07


def test_pictures_are_flipped_and_nothing_else():
    generator = np.random.default_rng(0)
    geometries = {draw_geometry(PICTURE_AUGMENTATION, generator) for _ in range(50)}
    assert geometries == {Geometry(flip=False), Geometry(flip=True)}
    colour = draw_colour(PICTURE_AUGMENTATION, 1, generator)
    assert (colour["factors"] == 1).all() and not colour["grayscale"].any()


@pytest.mark.parametrize("wrong", [dict(flip=2.0), dict(mosaic=-0.1), dict(shear=90.0), dict(degrees=-1.0)])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="came"):
        Augmentation(**wrong)


def test_a_factor_is_never_negative():
    wild = Augmentation(clip_jitter=Jitter(brightness=3.0))
    factors = draw_colour(wild, 500, np.random.default_rng(0))["factors"]
    assert (factors >= 0).all()


# Colour on the device

COLOUR = {name: RECORDED[f"colour_{name}"] for name in ("factors", "order", "grayscale")}


def test_colours_change_as_torchvision_changes_tensors():
    changed = np.asarray(jax.jit(jitter)(RECORDED["colour_frames"], COLOUR))
    assert changed.dtype == np.float32
    np.testing.assert_allclose(changed, RECORDED["colour_tensors"], rtol=0, atol=1e-3)
    # On PIL images, torchvision rounds down six times.
    above = changed - RECORDED["colour_images"]
    assert above.min() >= 0 and above.max() < 7


def test_colours_change_alike_in_every_shape_of_batch():
    expected = np.asarray(jax.jit(jitter)(RECORDED["colour_frames"], COLOUR))
    shape = (1, 5)
    nested = {name: values.reshape(*shape, *values.shape[1:]) for name, values in COLOUR.items()}
    frames = RECORDED["colour_frames"]
    changed = jitter(frames.reshape(*shape, *frames.shape[1:]), nested)
    np.testing.assert_allclose(changed[0], expected, atol=1e-4)
    alone = jitter(frames[3], {name: values[3] for name, values in COLOUR.items()})
    np.testing.assert_allclose(alone, expected[3], atol=1e-4)


def test_factors_of_one_change_nothing():
    colour = draw_colour(PICTURE_AUGMENTATION, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(jitter(RECORDED["colour_frames"], colour), RECORDED["colour_frames"])
