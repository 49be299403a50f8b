# SPDX-License-Identifier: Apache-2.0
"""What lies behind everything: walls, grounds and skies, patterns, and places full of things that are no objects.

In: draws. Out: `Backdrop`, and its picture, larger than a frame, for the camera to move over.
"""

import dataclasses
import math
from collections.abc import Mapping

import cv2
import numpy as np

from data.synthetic.affine import bounds, place, then
from data.synthetic.colors import Color, Palette, draw_color, draw_palette, rgb_of
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, cover, fill
from data.synthetic.shapes import FAMILIES, draw_outline
from data.synthetic.surfaces import Surface, lit
from data.synthetic.textures import Texture, draw_texture, paint, recolored

KINDS = {"plain": 1, "pattern": 2, "room": 3, "landscape": 3, "leaves": 3, "clutter": 4, "blurred": 2}  # with weights
_AROUND = 0.2  # picture sides that a backdrop reaches beyond the picture, each way; further out it is mirrored


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """A shape that is part of the backdrop: where, in picture sides, and its radius."""

    outline: Outline
    texture: Texture | None
    color: Color
    x: float
    y: float
    angle: float
    radius: float


@dataclasses.dataclass(frozen=True, eq=False)
class Backdrop:
    """Attributes:
    kind: one of `KINDS`.
    palette: of the place.
    texture: of most of it, in picture sides.
    floor: texture, height of the horizon in picture sides, and its lean, for a room or a landscape.
    shapes: from back to front.
    slope: how much lighter it is at the top than below.
    grain: a grey texture that goes over all shapes.
    blur: Gaussian, in thousandths of the picture's side.
    wave: how far it flutters, in picture sides; 0 for what stands still.
    """

    kind: str
    palette: Palette
    texture: Texture
    floor: tuple[Texture, float, float] | None
    shapes: tuple[Shape, ...]
    slope: float
    grain: Texture
    blur: float
    wave: float


def draw_backdrop(dice: Dice, kinds: Mapping[str, float] = KINDS) -> Backdrop:
    """Args:
    kinds: which, and how often each.
    """
    kind = dice.weighted(kinds)
    palette = draw_palette(dice)
    texture = draw_texture(dice, palette, unit=dice.log_uniform(0.4, 1.5))
    floor, shapes, count = None, [], {"room": (2, 8), "landscape": (2, 10), "clutter": (10, 40)}.get(kind, (0, 0))
    if kind in ("room", "landscape"):
        other = palette if dice.chance(0.6) else draw_palette(dice)
        floor = draw_texture(dice, other, unit=0.6), dice.uniform(0.3, 0.75), dice.normal(0.06)
    if kind in ("leaves", "blurred"):
        # Shapes over shapes, few large and many small ones: so photographs are, as far as edges and contrasts go.
        count, smallest = (60, 130) if kind == "leaves" else (30, 70), dice.log_uniform(0.02, 0.06)
    families = dice.sample(tuple(FAMILIES), dice.integer(2, 4))
    shared = recolored(dice, texture, 12)
    for rank in range(dice.integer(*count)):
        if kind in ("leaves", "blurred"):
            radius = max(smallest, 0.45 / math.sqrt(1 + rank * 0.5) * dice.uniform(0.6, 1.3))
            outline = draw_outline(dice, dice.choice(("round", "angular", "angular")))
        else:
            radius, outline = dice.log_uniform(0.02, 0.2), draw_outline(dice, dice.choice(families))
        color, own = draw_color(dice, palette), None
        if radius > 0.12 and dice.chance(0.5):
            own = shared if dice.chance(0.25) else draw_texture(dice, palette, radius, color)
        x, y = dice.uniform(-0.2, 1.2), dice.uniform(-0.2, 1.2)
        upright = kind == "room" or dice.chance(0.2)
        shapes.append(Shape(outline, own, color, x, y, dice.normal(0.05) if upright else dice.angle(), radius))
    return Backdrop(
        kind,
        palette,
        texture,
        floor,
        tuple(shapes),
        dice.choice((0.0, dice.uniform(-0.6, 0.6))),
        draw_texture(dice, Palette((0.0,), 0, 0, 53, 54), dice.log_uniform(0.1, 1), (53.6, 0.0, 0.0)),
        dice.uniform(4, 20) if kind == "blurred" else dice.choice((0.0, dice.log_uniform(1, 10)), (3, 2)),
        dice.log_uniform(0.003, 0.015) if dice.chance(0.12) else 0.0,
    )


def margin(size: int) -> int:
    """Pixels of a painted backdrop on each side of a picture of `size`."""
    return round(_AROUND * size)


def paint_backdrop(backdrop: Backdrop, size: int) -> np.ndarray:
    """uint8 (D, D, 3) RGB, where D is `size` and two margins; the picture lies in its middle."""
    side, edge = size + 2 * margin(size), margin(size) / size
    to_sides = place(-edge, -edge, 0, 1 / size)
    picture = paint(backdrop.texture, to_sides, side, side)
    if backdrop.floor is not None:
        _lay_floor(picture, *backdrop.floor, size)
    for shape in backdrop.shapes:
        _lay_shape(picture, shape, size)
    if backdrop.shapes:  # most of which are of one colour, as nothing is
        grain = paint(backdrop.grain, to_sides, side, side)
        picture = cv2.multiply(picture, grain, scale=1 / 128)
    if backdrop.slope:
        light = np.rint(128 * (1 + backdrop.slope * np.linspace(0.5, -0.5, side))).astype(np.uint8)[:, None]
        light = cv2.resize(light, (side, side), interpolation=cv2.INTER_NEAREST)
        picture = cv2.multiply(picture, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), scale=1 / 128)
    return _blurred(picture, backdrop.blur * size / 1000)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Much blur on a smaller copy, which takes less and looks the same."""
    if sigma < 0.3:
        return picture
    if sigma < 3:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _lay_floor(picture: np.ndarray, texture: Texture, horizon: float, lean: float, size: int) -> None:
    """The ground, in perspective: flat texture, stretched less and less towards the viewer."""
    side = picture.shape[0]
    flat = paint(texture, place(0, 0, 0, 1.2 / size), size, size)
    middle = horizon * size + margin(size)
    left, right = middle - lean * side, middle + lean * side
    first = max(0, math.floor(min(left, right)))
    height, low = side - first, 1.05 * side - first
    # The border of the flat texture lies a little above the horizon, so that it is not seen.
    start, end = left - first - 0.015 * side, right - first - 0.015 * side
    corners = np.float32([(-0.1 * side, start), (1.1 * side, end), (2.2 * side, low), (-1.2 * side, low)])
    warp = cv2.getPerspectiveTransform(np.float32([(0, 0), (size, 0), (size, size), (0, size)]), corners)
    laid = cv2.warpPerspective(flat, warp, (side, height), borderMode=cv2.BORDER_CONSTANT)
    area = Outline((np.array([(-1, left), (side + 1, right), (side + 1, side + 1), (-1, side + 1)], float),))
    weight = cover(area, place(0, -first), height, side).astype(np.float32) / 255
    window = picture[first:]
    cv2.blendLinear(laid, window, weight, 1 - weight, window)


def _lay_shape(picture: np.ndarray, shape: Shape, size: int) -> None:
    side, edge = picture.shape[0], margin(size)
    pose = place(shape.x * size + edge, shape.y * size + edge, shape.angle, shape.radius * size)
    if shape.texture is None:
        fill(picture, shape.outline, pose, rgb_of(shape.color))
        return
    left, top, right, bottom = bounds(pose, *shape.outline.box())
    left, top = max(0, int(left)), max(0, int(top))
    right, bottom = min(side, int(right) + 1), min(side, int(bottom) + 1)
    if left >= right or top >= bottom:
        return
    window = picture[top:bottom, left:right]
    weight = cover(shape.outline, then(pose, place(-left, -top)), bottom - top, right - left)
    over = paint(shape.texture, place(left / size, top / size, 0, 1 / size), bottom - top, right - left)
    weight = weight.astype(np.float32) / 255
    cv2.blendLinear(over, window, weight, 1 - weight, window)


def stuff(dice: Dice, backdrop: Backdrop) -> Surface:
    """What things that belong to the place are made of: walls, hills, furniture."""
    near_it = recolored(dice, backdrop.texture, dice.log_uniform(4, 25))
    return lit(dice, near_it if dice.chance(0.4) else draw_texture(dice, backdrop.palette, 0.5))
