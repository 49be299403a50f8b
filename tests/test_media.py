# SPDX-License-Identifier: Apache-2.0
"""Pictures and masks come in and go out as promised, resizes equal the published ones, overlays show what they say.

In: small made-up pictures, and recorded results of PyTorch's resizes (tests/recorded/make_resizes.py).
"""

import io
import pathlib
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from sam2_jax.media import (
    as_masks,
    palette,
    pictures,
    read_mask,
    read_picture,
    remove_small_regions,
    resize_logits,
    resize_picture,
    write_mask,
    write_picture,
)
from sam2_jax.media.overlays import contact_sheet, object_color, overlay

RECORDED = np.load(pathlib.Path(__file__).parent / "recorded" / "resizes.npz")
PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def cases(kind):
    return sorted(name.removesuffix("_in") for name in RECORDED if name.startswith(kind) and name.endswith("_in"))


# Reading pictures


def save(folder, image, name="picture.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


def test_importing_is_light_and_changes_nothing_global():
    code = (
        "from PIL import Image; import cv2, sys; before = Image.MAX_IMAGE_PIXELS, cv2.getNumThreads();"
        "import sam2_jax.media.overlays;"
        "assert before == (Image.MAX_IMAGE_PIXELS, cv2.getNumThreads());"
        "assert not {'jax', 'torch', 'flax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=pathlib.Path(__file__).parents[1])


@pytest.mark.parametrize("as_path", [str, pathlib.Path])
def test_a_file_reads_as_its_pixels(tmp_path, as_path):
    path = save(tmp_path, Image.fromarray(PICTURE))
    picture = read_picture(as_path(path))
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    np.testing.assert_array_equal(picture, PICTURE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb_as_pillow_converts_it(mode):
    image = Image.fromarray(PICTURE).convert(mode)
    np.testing.assert_array_equal(read_picture(image), np.array(image.convert("RGB")))


def test_a_palette_file_with_transparency_reads_without_a_warning(tmp_path):
    image = Image.fromarray(PICTURE).quantize(8)
    path = save(tmp_path, image, transparency=bytes(range(8)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_picture(path), np.array(image.convert("RGB")))


def test_a_cmyk_jpeg_reads_as_rgb(tmp_path):
    path = save(tmp_path, Image.new("CMYK", (16, 8), (255, 0, 0, 0)), "picture.jpg")
    red, green, blue = read_picture(path)[4, 4]
    assert read_picture(path).shape == (8, 16, 3)
    assert red < 20 < 200 < min(green, blue)


def test_transparency_is_dropped_and_colours_kept(tmp_path):
    alpha = np.random.default_rng(1).integers(0, 256, (6, 9, 1), np.uint8)
    rgba = np.concatenate([PICTURE, alpha], axis=-1)
    np.testing.assert_array_equal(read_picture(save(tmp_path, Image.fromarray(rgba))), PICTURE)
    np.testing.assert_array_equal(read_picture(Image.fromarray(rgba)), PICTURE)
    np.testing.assert_array_equal(read_picture(rgba), PICTURE)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_keep_their_upper_eight(tmp_path, channels):
    values = np.random.default_rng(2).integers(0, 65536, (5, 7, channels), np.uint16)
    expected = np.broadcast_to((values >> 8).astype(np.uint8), (5, 7, 3))
    path = tmp_path / "deep.png"
    assert cv2.imwrite(str(path), values[..., ::-1])
    np.testing.assert_array_equal(read_picture(path), expected)
    np.testing.assert_array_equal(read_picture(values), expected)
    if channels == 1:
        np.testing.assert_array_equal(read_picture(Image.fromarray(values[..., 0])), expected)
        np.testing.assert_array_equal(read_picture(Image.fromarray(values[..., 0].astype(np.int32))), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_stands_as_its_exif_orientation_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(PICTURE), exif=exif)
    turned = {
        1: PICTURE,
        2: PICTURE[:, ::-1],
        3: PICTURE[::-1, ::-1],
        4: PICTURE[::-1],
        5: PICTURE.transpose(1, 0, 2),
        6: np.rot90(PICTURE, -1),
        7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(PICTURE, 1),
    }
    np.testing.assert_array_equal(read_picture(path), turned[orientation])
    # A PIL image is taken as it stands, as the published predictor takes it.
    np.testing.assert_array_equal(read_picture(Image.open(path)), PICTURE)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 4), color) for color in ((255, 0, 0), (0, 0, 255))]
    path = save(tmp_path, frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert (read_picture(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1)])
def test_grey_arrays_become_rgb(shape):
    grey = PICTURE[..., 0].reshape(shape)
    np.testing.assert_array_equal(read_picture(grey), np.repeat(grey.reshape(6, 9, 1), 3, axis=-1))


def test_one_pixel_is_a_picture(tmp_path):
    path = save(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3)))
    np.testing.assert_array_equal(read_picture(path), [[[1, 2, 3]]])


def test_large_files_pass_pillows_limit_and_leave_it_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would refuse the 54 pixels
    path = save(tmp_path, Image.fromarray(PICTURE))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_picture(path), PICTURE)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_too_large_a_file_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path, Image.fromarray(PICTURE))
    path.write_bytes(path.read_bytes()[:60])  # the header alone
    monkeypatch.setattr(pictures, "MAXIMUM_PIXELS", 53)
    with pytest.raises(ValueError, match=r"picture\.png has 9 x 6 pixels, more than the 53 allowed"):
        read_picture(path)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        read_mask(tmp_path / "absent.png")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5])
def test_a_damaged_file_is_named(tmp_path, file_format, part):
    buffer = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, format=file_format)
    path = tmp_path / "damaged"
    path.write_bytes(buffer.getvalue()[: int(part * len(buffer.getvalue()))])
    with pytest.raises(ValueError, match="damaged cannot be read as a picture"):
        read_picture(path)
    if part == 0.5 and file_format in ("PNG", "JPEG"):  # these open lazily: the damage shows later
        with pytest.raises(ValueError, match="the PIL image cannot be read as a picture"):
            read_picture(Image.open(path))


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.jpg cannot be read as a picture"):
        read_picture(tmp_path / "notes.jpg")
    with pytest.raises(ValueError, match="is a folder, not a picture"):
        read_picture(tmp_path)
    with pytest.raises(ValueError, match="floating-point values"):
        read_picture(Image.new("F", (2, 2)))
    with pytest.raises(ValueError, match="beyond 16 bits"):
        read_picture(Image.fromarray(np.full((2, 2), 70000, np.int32)))
    with pytest.raises(ValueError, match="NoneType came"):
        read_picture(None)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((4, 5, 3), np.float32), r"shape \(4, 5, 3\) and type float32 came, but a picture is uint8"),
        (np.zeros((4, 5, 3), bool), "type bool came"),
        (np.zeros((4, 5, 3), np.int64), "type int64 came"),
        (np.zeros((0, 5, 3), np.uint8), r"empty array of shape \(0, 5, 3\)"),
        (np.zeros((4, 0), np.uint8), "empty array"),
        (np.zeros((3, 8, 9), np.uint8), r"\(3, 8, 9\).*move the channels to the end"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"\(1, 4, 5, 3\)"),
        (np.zeros((4, 5, 2), np.uint8), r"\(4, 5, 2\)"),
        (np.zeros(7, np.uint8), r"\(7,\)"),
    ],
)
def test_wrong_arrays_are_refused_with_what_came_and_what_was_expected(array, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_picture(array)


# Writing, and masks


def test_png_keeps_every_pixel_and_jpeg_nearly(tmp_path):
    write_picture(tmp_path / "picture.png", PICTURE)
    np.testing.assert_array_equal(read_picture(tmp_path / "picture.png"), PICTURE)
    smooth = np.linspace(0, 255, 32 * 32).reshape(32, 32).astype(np.uint8)
    write_picture(tmp_path / "picture.JPG", smooth)
    assert Image.open(tmp_path / "picture.JPG").format == "JPEG"
    assert np.abs(read_picture(tmp_path / "picture.JPG")[..., 0].astype(int) - smooth).max() < 12


def test_writing_names_a_wrong_suffix_and_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"picture\.gif must end in \.png, \.jpg, \.jpeg"):
        write_picture(tmp_path / "picture.gif", PICTURE)
    with pytest.raises(ValueError, match=r"mask\.jpg must end in \.png"):
        write_mask(tmp_path / "mask.jpg", np.ones((2, 2), bool))
    with pytest.raises(FileNotFoundError, match="absent does not exist"):
        write_picture(tmp_path / "absent" / "picture.png", PICTURE)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "mask.png"
    write_mask(path, np.eye(4, dtype=bool))

    def fail(image, file, **options):
        file.write(b"half a file")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        write_mask(path, np.ones((4, 4), bool))
    monkeypatch.undo()
    np.testing.assert_array_equal(read_mask(path), np.eye(4, dtype=bool))
    assert list(tmp_path.iterdir()) == [path]


def test_a_mask_is_a_grey_png_of_0_and_255(tmp_path):
    mask = np.random.default_rng(4).random((7, 5)) > 0.5
    for written in (mask, mask.astype(np.float32), mask.astype(np.uint8)):
        write_mask(tmp_path / "mask.png", written)
        image = Image.open(tmp_path / "mask.png")
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), np.where(mask, 255, 0))
        read = read_mask(tmp_path / "mask.png")
        assert read.dtype == bool
        np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize("mask", [np.full((2, 2), 255, np.uint8), np.full((2, 2), -1.5), np.full((2, 2), np.nan)])
def test_what_needs_a_threshold_is_not_taken_as_a_mask(mask):
    with pytest.raises(ValueError, match="Masks are bool, or 0 and 1"):
        as_masks(mask)


def test_mask_files_of_every_kind_are_read(tmp_path):
    mask = np.array([[True, False, True], [False, False, True]])
    indices = np.where(mask, [[1, 1, 2], [1, 1, 255]], 0).astype(np.uint8)
    paletted = Image.fromarray(indices)
    paletted.putpalette(palette(256).tobytes())
    assert paletted.mode == "P"
    images = {
        "bits": Image.fromarray(mask),
        "indices": Image.fromarray(indices),
        "palette": paletted,
        "sixteen bits": Image.fromarray(indices.astype(np.uint16)),
        "colours": Image.fromarray(palette(256)[indices]),
        "transparent": Image.fromarray(np.dstack([np.full((2, 3, 3), 200, np.uint8), mask * np.uint8(255)])),
        "black and opaque": Image.fromarray(np.dstack([palette(256)[indices], np.full((2, 3), 255, np.uint8)])),
    }
    for name, image in images.items():
        np.testing.assert_array_equal(read_mask(save(tmp_path, image)), mask, err_msg=name)


def test_a_jpeg_is_refused_as_a_mask(tmp_path):
    path = save(tmp_path, Image.new("L", (8, 8)), "mask.jpg")
    with pytest.raises(ValueError, match=r"mask\.jpg is a JPEG"):
        read_mask(path)


def test_the_palette_is_that_of_pascal_and_davis():
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    expected += [(128, 128, 128), (64, 0, 0), (192, 0, 0)]
    assert palette(256).dtype == np.uint8
    np.testing.assert_array_equal(palette(10), expected)
    np.testing.assert_array_equal(palette(256)[[16, 64, 255]], [(0, 64, 0), (32, 0, 0), (224, 224, 192)])
    assert len(np.unique(palette(256), axis=0)) == 256
    assert palette(0).shape == (0, 3)


# Resizing


@pytest.mark.parametrize("case", cases("picture"))
def test_resize_picture_gives_the_published_numbers(case):
    expected = RECORDED[f"{case}_out"]
    resized = resize_picture(RECORDED[f"{case}_in"], len(expected))
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("case", cases("logits"))
def test_resize_logits_gives_the_published_numbers(case):
    logits, expected = RECORDED[f"{case}_in"], RECORDED[f"{case}_out"]
    before = logits.copy()
    resized = resize_logits(logits, expected.shape[-2:])
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(logits, before)
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_resizes_take_strided_and_empty_batches():
    turned = np.ascontiguousarray(PICTURE[:, ::-1])
    np.testing.assert_array_equal(resize_picture(PICTURE[:, ::-1], 5), resize_picture(turned, 5))
    logits = np.random.default_rng(5).standard_normal((3, 4, 4)).astype(np.float32)
    np.testing.assert_array_equal(resize_logits(logits[::2, ::-1], (7, 9))[1], resize_logits(logits[2, ::-1], (7, 9)))
    assert resize_logits(np.zeros((0, 4, 4), np.float32), (7, 9)).shape == (0, 7, 9)


def test_resizes_refuse_what_has_no_size():
    with pytest.raises(ValueError, match="uint8"):
        resize_picture(PICTURE.astype(np.float32), 8)
    with pytest.raises(ValueError, match="at least 1"):
        resize_picture(PICTURE, 0)
    with pytest.raises(ValueError, match="at least 1"):
        resize_logits(np.zeros((4, 4)), (0, 3))
    with pytest.raises(ValueError, match=r"\(4, 0\)"):
        resize_logits(np.zeros((4, 0)), (3, 3))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        remove_small_regions(np.zeros(4), 0, 1, 1)


# Small regions


def components(region):
    """8-connected components, by walking."""
    left, found = set(zip(*np.nonzero(region), strict=True)), []
    while left:
        queue, component = [left.pop()], []
        while queue:
            y, x = queue.pop()
            component.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue.extend(near)
        found.append(component)
    return found


@pytest.mark.parametrize(("hole_area", "sprinkle_area"), [(0, 0), (3, 0), (0, 3), (4, 2), (8, 8), (1000, 1000)])
@pytest.mark.parametrize("threshold", [0.0, -0.3])
def test_small_regions_follow_the_published_rule(hole_area, sprinkle_area, threshold):
    logits = np.random.default_rng(6).standard_normal((2, 3, 13, 11)).astype(np.float32)
    logits[0, 0], logits[0, 1], logits[0, 2] = 1, -1, threshold
    before, expected = logits.copy(), logits.copy()
    for plane in np.ndindex(2, 3):
        foreground = logits[plane] > threshold
        for region, area, value in ((~foreground, hole_area, 10), (foreground, sprinkle_area, -10)):
            for component in components(region):
                if len(component) <= area:
                    expected[plane][tuple(np.transpose(component))] = threshold + value
    result = remove_small_regions(logits, threshold, hole_area, sprinkle_area)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(logits, before)
    assert not np.shares_memory(result, logits)


def test_diagonal_neighbours_are_one_region():
    logits = -np.ones((5, 5), np.float32)
    logits[[1, 2], [1, 2]] = 1
    assert (remove_small_regions(logits, 0, max_sprinkle_area=1) > 0).sum() == 2
    assert (remove_small_regions(logits, 0, max_sprinkle_area=2) > 0).sum() == 0


# Overlays


@pytest.fixture
def scene():
    picture = np.full((200, 300, 3), 128, np.uint8)
    masks = np.zeros((2, 200, 300), bool)
    masks[0, 40:160, 60:240] = True
    masks[1, 80:120, 100:140] = True
    return picture, masks


def test_an_overlay_tints_masks_and_leaves_the_rest(scene):
    picture, masks = scene
    colors = np.array([[255, 0, 0], [0, 0, 255]])
    drawn = overlay(picture, masks, colors=colors, alpha=0.5)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    np.testing.assert_allclose(drawn[60, 200], (192, 64, 64), atol=1)
    np.testing.assert_allclose(drawn[100, 120], (64, 64, 192), atol=1)  # the smaller mask, on top
    np.testing.assert_array_equal(drawn[:30], picture[:30])
    assert (picture == 128).all()
    np.testing.assert_array_equal(overlay(picture, masks[::-1], colors=colors[::-1], alpha=0.5), drawn)


def test_an_outline_follows_the_border_and_not_the_edge_of_the_picture(scene):
    picture, masks = scene
    masks = masks[:1].copy()
    masks[0, 40:160, 240:] = True  # on to the right edge
    changed = (overlay(picture, masks, alpha=0) != picture).any(axis=-1)
    assert changed[100, 59:61].all()
    assert changed[39:41, 295].all()
    assert not changed[60:140, 280:].any()
    assert not changed[70:130, 75:].any()


def test_marks_grow_with_the_picture():
    def marked(scale):
        picture = np.zeros((800 * scale, 1200 * scale, 3), np.uint8)
        point = [[600 * scale, 400 * scale]]
        return (overlay(picture, np.zeros((0, *picture.shape[:2])), points=point) > 0).any(axis=-1).sum()

    assert marked(2) / marked(1) == pytest.approx(4, rel=0.05)


def test_points_are_green_or_red_and_stand_where_they_were_set():
    picture = np.full((201, 301, 3), 128, np.uint8)
    points, labels = [[50.5, 60.5], [200.5, 100.5], [250.5, 150.5]], [1, 0, -1]
    drawn = overlay(picture, np.zeros((0, 201, 301)), points=points, labels=labels).astype(int)
    changed = (drawn != 128).any(axis=-1)
    np.testing.assert_allclose(np.argwhere(changed[:, :150]).mean(axis=0), (60, 50), atol=0.01)
    np.testing.assert_allclose(np.argwhere(changed[:, 150:]).mean(axis=0), (100, 50), atol=0.01)
    green, red = drawn[60 - 3, 50], drawn[100 - 3, 200]  # on the disc, beside the white sign
    assert green[1] > 1.5 * green[0]
    assert red[0] > 1.5 * red[1]
    assert not changed[120:].any()


def test_marks_outside_the_picture_are_cut(scene):
    picture, masks = scene
    points = [[-500, 20], [0, 0], [300, 200], [10000, 10000]]
    boxes = [[-50, -50, 400, 300], [-90, -90, -50, -50], [250, 150, 350, 250]]
    drawn = overlay(picture, masks[:0], points=points, boxes=boxes)
    changed = (drawn != picture).any(axis=-1)
    assert changed[0, 0]
    assert changed[-1, -1]
    assert changed[150, 290]
    assert (
        overlay(picture, masks[:0], boxes=np.array(boxes)[:, [2, 1, 0, 3]]) == overlay(picture, masks[:0], boxes=boxes)
    ).all()
    assert not changed[20:140, 20:240].any()


def test_one_pixel_can_be_overlaid():
    drawn = overlay(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 1)), points=[[0, 0]], boxes=[[0, 0, 1, 1]])
    assert drawn.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("masks", np.zeros((200, 300), bool), r"masks must have the shape \(any, 200, 300\), but \(200, 300\)"),
        ("masks", np.zeros((1, 20, 30), bool), r"but \(1, 20, 30\) came"),
        ("colors", np.zeros((3, 3)), r"colors must have the shape \(2, 3\)"),
        ("points", np.zeros((1, 3)), r"points must have the shape \(any, 2\)"),
        ("labels", [1, 0], r"labels must have the shape \(0\)"),
        ("boxes", np.zeros(4), r"boxes must have the shape \(any, 4\)"),
        ("alpha", 1.5, "alpha is between 0 and 1"),
    ],
)
def test_an_overlay_names_what_does_not_fit(scene, argument, value, sentence):
    picture, masks = scene
    with pytest.raises(ValueError, match=sentence):
        overlay(**{"picture": picture, "masks": masks, argument: value})


def test_object_colours_are_bright_and_all_different():
    colors = np.array([[object_color(index) for index in range(64)]])
    assert colors.min() >= 0
    assert colors.max() <= 255
    assert (colors.max(axis=-1) >= 200).all()
    lab = cv2.cvtColor((colors / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]  # a distance of 2 can just be seen
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(64)
    assert apart.min() > 3
    assert apart[:24, :24].min() > 12


def test_a_contact_sheet_holds_every_picture_on_a_dark_ground():
    pictures = [np.full((40, 60, 3), value, np.uint8) for value in (100, 150, 200)]
    sheet = contact_sheet(pictures, columns=2)
    for value in (100, 150, 200):
        assert (sheet == value).all(axis=-1).sum() == 40 * 60
    assert (sheet[0] < 40).all()
    assert contact_sheet(pictures, columns=3).shape[1] > sheet.shape[1]
    assert contact_sheet(pictures, columns=9).shape == contact_sheet(pictures, columns=3).shape
    assert contact_sheet(pictures, columns=2, captions=["a", "b" * 99, "ü"]).shape[0] > sheet.shape[0]


def test_a_contact_sheet_fits_pictures_of_other_sizes():
    sheet = contact_sheet([np.full((40, 60, 3), 90, np.uint8), np.full((400, 200, 3), 210, np.uint8)], columns=2)
    assert (sheet == 210).all(axis=-1).sum() == 40 * 20


def test_a_contact_sheet_names_what_does_not_fit():
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])
    with pytest.raises(ValueError, match="1 pictures needs as many captions, but 2 came"):
        contact_sheet([PICTURE], captions=["a", "b"])
    with pytest.raises(ValueError, match="at least 1 column"):
        contact_sheet([PICTURE], columns=0)
