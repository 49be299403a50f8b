# SPDX-License-Identifier: Apache-2.0
"""Pictures a person wants to look at: masks, points and boxes drawn over a picture, and sheets of pictures.

In: uint8 (H, W, 3) RGB pictures and what a predictor takes and gives, in pixels of the picture. Out: new uint8
(H, W, 3) RGB pictures. Every line is a band of a signed distance, so edges are smooth at any size.
"""

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sam2_jax.media.masks import as_masks
from sam2_jax.media.pictures import read_picture

_FIRST_COLORS = (
    (38, 139, 255),  # blue
    (255, 138, 30),  # orange
    (52, 211, 100),  # green
    (240, 72, 160),  # pink
    (255, 214, 40),  # yellow
    (150, 100, 255),  # violet
    (30, 214, 222),  # cyan
    (240, 64, 56),  # red
)
_FOREGROUND, _BACKGROUND = (34, 190, 80), (232, 48, 48)  # the colours of points
_WHITE, _DARK = (255, 255, 255), (12, 12, 16)
_SHEET, _CAPTION = (24, 25, 28), (226, 228, 232)


def object_color(index: int) -> tuple[int, int, int]:
    """The RGB colour, 0..255, of an object in overlays: bright, and unlike those of the objects before it."""
    if index < len(_FIRST_COLORS):
        return _FIRST_COLORS[index]
    # Steps of the golden ratio never come back to a hue; three tones tell neighbouring hues apart.
    saturation, value = ((0.8, 1.0), (0.5, 1.0), (0.7, 0.8))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.08 + index * 0.618034) % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def overlay(
    picture: np.ndarray,
    masks: np.ndarray,
    colors: np.ndarray | None = None,
    points: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    alpha: float = 0.5,
) -> np.ndarray:
    """Draw masks, boxes and points over a picture. Lines and marks grow with the picture.

    Where masks overlap, the smallest is on top, so that a part stays visible on its whole.

    Args:
        picture: uint8 (H, W, 3); not modified.
        masks: (M, H, W) bool, or 0 and 1; M may be 0.
        colors: (M, 3) RGB in 0..255; `object_color` without it.
        points: (P, 2) as (x, y) in pixels, (0, 0) the top left corner of the top left pixel.
        labels: (P,) 1 for foreground (green, a plus), 0 for background (red, a minus); points with other labels are
            not drawn. All foreground without it.
        boxes: (N, 4) as (x0, y0, x1, y1) in pixels, two opposite corners; box i has the colour of mask i.
        alpha: opacity of the masks, from 0, outlines alone, to 1.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: a shape that does not fit, named with what was expected.
    """
    canvas = read_picture(picture).copy()
    masks = as_masks(masks)
    _check_shape("masks", masks, (None, *canvas.shape[:2]))
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is between 0 and 1, but {alpha} came.")
    boxes = _check_shape("boxes", np.zeros((0, 4)) if boxes is None else boxes, (None, 4))
    points = _check_shape("points", np.zeros((0, 2)) if points is None else points, (None, 2))
    labels = _check_shape("labels", np.ones(len(points)) if labels is None else labels, (len(points),))
    given = np.zeros((0, 3)) if colors is None else _check_shape("colors", colors, (len(masks), 3))
    colors = [*given, *map(object_color, range(len(given), max(len(masks), len(boxes))))]
    unit = max(canvas.shape[:2]) / 1000
    line = max(1.8, 2.4 * unit)

    largest_first = np.argsort([-np.count_nonzero(mask) for mask in masks], kind="stable")
    # One colour for each pixel, that of the smallest mask over it: mixed colours would belong to no object.
    painted = canvas.copy()
    for index in largest_first:
        painted[masks[index]] = colors[index]
    canvas = cv2.addWeighted(canvas, 1 - alpha, painted, alpha, 0)
    for index in largest_first:
        _draw_outline(canvas, masks[index], colors[index], line)
    for box, color in zip(boxes, colors, strict=False):
        _draw_box(canvas, box, color, line)
    for point, label in zip(points, labels, strict=True):
        if label in (0, 1):
            _draw_point(canvas, point, label == 1, max(5.0, 10 * unit))
    return canvas


def contact_sheet(
    pictures: Sequence[np.ndarray], columns: int | None = None, captions: Sequence[str] | None = None
) -> np.ndarray:
    """Pictures side by side on a dark ground, row by row, each with a caption below it.

    A cell is as large as the first picture; the others are scaled to fit into it, in their own proportions.

    Args:
        pictures: at least one uint8 (H, W, 3), each of its own size.
        columns: of the grid; chosen for a sheet somewhat wider than high without it.
        captions: one for each picture, in ASCII; one too long for its cell is cut.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: no pictures, columns below 1, or not one caption for each picture.
    """
    pictures = [read_picture(picture) for picture in pictures]
    count = len(pictures)
    if not count:
        raise ValueError("A contact sheet needs at least one picture, but none came.")
    if captions is not None and len(captions) != count:
        raise ValueError(f"A contact sheet of {count} pictures needs as many captions, but {len(captions)} came.")
    if columns is not None and columns < 1:
        raise ValueError(f"A contact sheet has at least 1 column, but {columns} came.")
    height, width = pictures[0].shape[:2]
    columns = min(count, columns or max(1, round(math.sqrt(1.6 * count * height / width))))
    rows = -(-count // columns)
    gap = max(4, round(0.02 * max(height, width)))
    text_size = max(11, round(0.032 * max(height, width)))
    cell_height = height + (2 * text_size if captions is not None else 0)

    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (cell_height + gap) + gap), _SHEET)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(text_size)
    for index, picture in enumerate(pictures):
        left, top = gap + index % columns * (width + gap), gap + index // columns * (cell_height + gap)
        fitted = _fit(Image.fromarray(picture), width, height)
        sheet.paste(fitted, (left + (width - fitted.width) // 2, top + (height - fitted.height) // 2))
        if captions is not None:
            caption = _shorten(captions[index].encode("ascii", "replace").decode(), width, font)
            draw.text((left + width / 2, top + height + text_size), caption, _CAPTION, font, anchor="mm")
    return np.array(sheet)


def _draw_outline(canvas: np.ndarray, mask: np.ndarray, color: Sequence[float], line: float) -> None:
    """A line along the border of a mask, inside a darker one that parts it from a background of its own colour."""
    window = _window(mask, math.ceil(3 * line) + 2)
    region = mask[window].astype(np.uint8)
    if not region.any() or region.all():
        return  # no border, so no distance to it
    inside = cv2.distanceTransform(region, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - region, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Both count from pixel centres, half a pixel from the border. Blurring takes out the steps of the pixel grid; far
    # from the border the distance does not matter, and its bound keeps thin parts from being blurred away.
    distance = np.clip(outside - inside + np.where(region, 0.5, -0.5), -2 * line, 2 * line).astype(np.float32)
    distance = np.abs(cv2.GaussianBlur(distance, (0, 0), min(0.5 * line, 2), borderType=cv2.BORDER_REPLICATE))
    _stroke(canvas, window, distance, line, _DARK, 0.55)
    _stroke(canvas, window, distance, 0.5 * line, _lighten(color), 1)


def _draw_box(canvas: np.ndarray, box: np.ndarray, color: Sequence[float], line: float) -> None:
    (left, right), (top, bottom) = sorted(map(float, box[0::2])), sorted(map(float, box[1::2]))
    window, x, y = _pixels(canvas, left, top, right, bottom, 2 * line + 2)
    across = np.abs(x - (left + right) / 2) - (right - left) / 2
    along = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2
    distance = np.abs(np.maximum(across, along))
    _stroke(canvas, window, distance, line, _DARK, 0.55)
    _stroke(canvas, window, distance, 0.5 * line, _lighten(color), 1)


def _draw_point(canvas: np.ndarray, point: np.ndarray, foreground: bool, radius: float) -> None:
    """A disc in a white ring, with a plus or a minus, which tell the two apart without their colours."""
    point_x, point_y = map(float, point)
    window, x, y = _pixels(canvas, point_x, point_y, point_x, point_y, 1.5 * radius + 2)
    x, y = np.abs(x - point_x), np.abs(y - point_y)
    distance = np.hypot(x, y)
    _stroke(canvas, window, distance, 1.2 * radius, _DARK, 0.45)
    _stroke(canvas, window, distance, radius, _WHITE, 1)
    _stroke(canvas, window, distance, 0.78 * radius, _FOREGROUND if foreground else _BACKGROUND, 1)
    half_length, half_width = 0.46 * radius, max(0.5, 0.13 * radius)
    sign = np.maximum(x - half_length, y - half_width)
    if foreground:
        sign = np.minimum(sign, np.maximum(y - half_length, x - half_width))
    _stroke(canvas, window, sign, 0, _WHITE, 1)


def _stroke(canvas, window, distance: np.ndarray, half_width: float, color: Sequence[float], opacity: float) -> None:
    """Colour where the distance is below half the width; a pixel on the edge takes its covered part."""
    area = canvas[window]
    covered = distance < half_width + 0.5
    weight = np.minimum(half_width + 0.5 - distance[covered], 1)[:, None]
    pixels = area[covered].astype(np.float32)
    area[covered] = np.rint(pixels + opacity * weight * (np.asarray(color, np.float32) - pixels))


def _window(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rows and columns of the picture that hold the mask, and a margin around it."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)


def _pixels(canvas, left: float, top: float, right: float, bottom: float, margin: float):
    """The window of the picture around a rectangle, and the x (1, W) and y (H, 1) of its pixels' centres."""
    height, width = canvas.shape[:2]
    rows = np.clip([math.floor(top - margin), math.ceil(bottom + margin)], 0, height)
    columns = np.clip([math.floor(left - margin), math.ceil(right + margin)], 0, width)
    return (slice(*rows), slice(*columns)), np.arange(*columns)[None] + 0.5, np.arange(*rows)[:, None] + 0.5


def _lighten(color: Sequence[float]) -> np.ndarray:
    return 0.75 * np.asarray(color, np.float32) + 0.25 * 255


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _shorten(text: str, width: int, font: ImageFont.ImageFont) -> str:
    """The end of the text, where names of videos and frames differ."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength("..." + text) > width:
        text = text[1:]
    return "..." + text.lstrip()


def _check_shape(name: str, values: np.ndarray, expected: tuple[int | None, ...]) -> np.ndarray:
    values = np.asarray(values)
    fits = all(side in (None, came) for side, came in zip(expected, values.shape, strict=False))
    if values.ndim != len(expected) or not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in expected)
        raise ValueError(f"{name} must have the shape ({wanted}), but {values.shape} came.")
    return values
