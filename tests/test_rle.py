# SPDX-License-Identifier: Apache-2.0
"""Run-length encoded masks come back as they were, in every form of the counts; counts that lie are told.

In: made-up masks; pycocotools, which defined the encoding.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycocotools

from data.formats import rle
from data.source import BrokenExample

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def masks(draw) -> np.ndarray:
    """Bool (H, W), from empty over noise to full, so that runs are of all lengths."""
    height, width = draw(SIZES)
    flat = np.repeat(draw(st.lists(st.booleans(), min_size=1, max_size=30)), draw(st.integers(1, 40)))
    return np.resize(flat, (width, height)).T


def uncompressed(mask: np.ndarray) -> list[int]:
    """The lengths of the runs, column by column, the first of background, counted one pixel after the other."""
    counts, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@given(masks())
def test_masks_come_back_as_they_were(mask):
    counts = rle.encode(mask)
    assert counts == pycocotools.encode(np.asfortranarray(mask, np.uint8))["counts"]
    for form in (counts, counts.decode(), uncompressed(mask)):
        decoded = rle.decode(form, mask.shape)
        assert decoded.dtype == bool
        assert decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, mask)
        assert rle.area(form, mask.shape) == mask.sum()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in pycocotools
def test_large_masks_come_back_as_they_were():
    rows, columns = np.mgrid[:700, :1100]
    for mask in ((rows // 90 + columns // 130) % 3 == 0, (rows * columns) % 7 < 2, rows > 698):
        counts = rle.encode(mask)
        np.testing.assert_array_equal(rle.decode(counts, mask.shape), mask)
        expected = pycocotools.decode({"size": list(mask.shape), "counts": counts})
        np.testing.assert_array_equal(rle.decode(counts, mask.shape), expected)


def test_a_mask_is_written_where_it_is_wanted():
    mask = np.arange(12).reshape(3, 4) % 5 == 0
    out = np.ones((2, 3, 4), bool)
    assert rle.decode(rle.encode(mask), (3, 4), out[1]) is not None
    np.testing.assert_array_equal(out, [np.ones((3, 4), bool), mask])


@given(masks(), st.integers(0, 3), st.integers(0, 3))
def test_a_mask_of_another_size_is_told(mask, more_rows, more_columns):
    other = mask.shape[0] + more_rows, mask.shape[1] + more_columns
    if other != mask.shape:
        with pytest.raises(BrokenExample, match=f"runs add up to {mask.size} pixels, but .* has {other[0] * other[1]}"):
            rle.decode(rle.encode(mask), other)
        with pytest.raises(BrokenExample, match="runs add up to"):
            rle.area(uncompressed(mask), other)


@settings(max_examples=300)
@given(SIZES, st.one_of(st.binary(max_size=12), st.text(max_size=12), st.lists(st.integers(-3, 40), max_size=6)))
def test_any_counts_cover_the_picture_or_are_told(size, counts):
    try:
        area = rle.area(counts, size)
    except BrokenExample:
        with pytest.raises(BrokenExample):
            rle.decode(counts, size)
    else:
        assert 0 <= area <= size[0] * size[1]
        assert rle.decode(counts, size).sum() == area


@pytest.mark.parametrize("counts", [None, 5, {}, [1.5, 2.5], ["a"], [[6]], "", b"", "\u20ac", "oooooooooo0", "1\n"])
def test_what_are_no_counts_is_told(counts):
    with pytest.raises(BrokenExample, match="counts of a run-length encoded mask"):
        rle.decode(counts, (2, 3))


@pytest.mark.parametrize(
    ("segment", "sentence"),
    [
        (None, "expected, but 'None' came"),
        ([1, 2], "expected, but"),
        ({"size": [2, 3]}, "expected, but"),
        ({"counts": [6]}, "size is None, but the picture's"),
        ({"counts": [6], "size": [3, 2]}, r"size is \[3, 2\], but the picture's \[2, 3\]"),
        ({"counts": [6], "size": "23"}, "size is 23"),
    ],
)
def test_a_segment_of_json_is_checked(segment, sentence):
    assert rle.counts_of({"size": [2, 3], "counts": [6]}, (2, 3)) == [6]
    with pytest.raises(BrokenExample, match=sentence):
        rle.counts_of(segment, (2, 3))


def test_polygons_are_drawn_as_one_mask():
    # A polygon's edges run between pixels, so that one along the grid covers width x height of them.
    expected = np.zeros((10, 12), bool)
    expected[2:6, 3:9] = True
    expected[5:9, 7:11] = True
    polygons = [[3, 2, 9, 2, 9, 6, 3, 6], [7.0, 5.0, 11.0, 5.0, 11.0, 9.0, 7.0, 9.0]]
    counts = rle.polygon_counts(polygons, (10, 12))
    np.testing.assert_array_equal(rle.decode(counts, (10, 12)), expected)
    assert rle.area(counts, (10, 12)) == expected.sum()


def test_polygons_beyond_the_picture_are_cut_off():
    counts = rle.polygon_counts([[-5, -5, 20, -5, 20, 3, -5, 3]], (10, 12))
    np.testing.assert_array_equal(rle.decode(counts, (10, 12)), np.arange(10)[:, None].repeat(12, 1) < 3)


@pytest.mark.parametrize(
    "polygons",
    [None, [], 5, [1, 2, 3, 4, 5, 6], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[float("nan")] * 6], [["1"] * 6]],
)
def test_what_is_no_polygon_is_told(polygons):
    with pytest.raises(BrokenExample, match="polygon"):
        rle.polygon_counts(polygons, (10, 12))
