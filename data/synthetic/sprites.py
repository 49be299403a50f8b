# SPDX-License-Identifier: Apache-2.0
"""Sprites: pieces of bodies painted once, to be laid into many frames.

In: a piece, and how large it gets. Out: `Sprite`: colours, coverage, and that of the patches that are objects.
"""

import dataclasses

import cv2
import numpy as np

from data.synthetic.affine import Affine, inverse, place, then
from data.synthetic.bodies import Piece
from data.synthetic.outlines import cover
from data.synthetic.surfaces import Surface
from data.synthetic.textures import paint

_MARGIN = 4  # pixels around a sprite that are not covered
_LEVELS = 4
_TOWARDS_LIGHT = np.float32([[0, -0.4, 0], [-0.3, 0, 0.3], [0, 0.4, 0]])
_RAMP = np.add.outer(np.linspace(1, -1, 32), np.linspace(0.5, -0.5, 32)).astype(np.float32)


class Shrinking:
    """A picture, and its copies of half, a quarter, ... of the side, made when first asked for."""

    def __init__(self, picture: np.ndarray):
        self._levels = {0: picture}

    def level(self, level: int) -> np.ndarray:
        # Two threads may make the same copy; it is the same.
        if level not in self._levels:
            larger = self.level(level - 1)
            self._levels[level] = cv2.resize(larger, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return self._levels[level]


@dataclasses.dataclass(frozen=True, eq=False)
class Sprite:
    """A painted piece.

    Attributes:
        box: left, top, right, bottom of what is covered, in the piece's units.
        to_pixels: from the piece's units to pixels of the largest copy; pixel (0, 0) is the square from 0 to 1.
        colors: uint8 (h, w, 4) RGB, painted beyond what is covered, and coverage; none where only masks are asked for.
        cover: uint8 (h, w), 255 for covered.
        patches: by number of the patch, uint8 (h, w) what it covers.
    """

    box: tuple[float, float, float, float]
    to_pixels: Affine
    colors: Shrinking | None
    cover: Shrinking
    patches: dict[int, Shrinking]


def paint_piece(piece: Piece, scale: float, patches: frozenset[int], colors: bool = True) -> Sprite:
    """Args:
    scale: pixels in one of the piece's units.
    patches: which ones' coverage is wanted.
    """
    box = piece.outline.box()
    step = 1 << (_LEVELS - 1)
    width, height = (step * -(-int((box[k + 2] - box[k]) * scale + 2 * _MARGIN + 1) // step) for k in (0, 1))
    to_pixels = place(width / 2 - (box[0] + box[2]) / 2 * scale, height / 2 - (box[1] + box[3]) / 2 * scale, 0, scale)
    whole = cover(piece.outline, to_pixels, height, width)
    covers = {
        number: cv2.min(cover(patch.outline, to_pixels, height, width), whole)
        for number, patch in enumerate(piece.patches)
        if colors or patches
    }
    picture = None
    if colors:
        picture = Shrinking(cv2.merge((*cv2.split(_picture(piece, to_pixels, whole, covers)), whole)))
    shown = {number: Shrinking(_shown(number, covers)) for number in patches}
    return Sprite(box, to_pixels, picture, Shrinking(whole), shown)


def level_for(sprite: Sprite, shrink: float) -> int:
    """Which copy to read, where the sprite is shown at 1 / shrink of its size."""
    level = 0
    while level < _LEVELS - 1 and shrink > 1.5:
        shrink, level = shrink / 2, level + 1
    return level


def _shown(number: int, covers: dict[int, np.ndarray]) -> np.ndarray:
    """What a patch covers, less what those painted later cover of it; but what lies within it is a part of it."""
    own = covers[number]
    for other in range(number + 1, len(covers)):
        common = cv2.min(own, covers[other])
        if cv2.hasNonZero(common) and cv2.sumElems(common)[0] < 0.9 * cv2.sumElems(covers[other])[0]:
            own = cv2.multiply(own, cv2.bitwise_not(covers[other]), scale=1 / 255)
    return own


def _picture(piece: Piece, to_pixels: Affine, whole: np.ndarray, covers: dict[int, np.ndarray]) -> np.ndarray:
    height, width = whole.shape
    # Textures lie on the body, so that one goes on from piece to piece.
    to_body = then(inverse(to_pixels), piece.rest)
    picture = paint(piece.surface.texture, to_body, height, width)
    for number, patch in enumerate(piece.patches):
        x, y, w, h = cv2.boundingRect(covers[number])
        if w and h:
            window = slice(y, y + h), slice(x, x + w)
            over = paint(patch.surface.texture, then(place(x, y), to_body), h, w)
            weight = covers[number][window].astype(np.float32) / 255
            cv2.blendLinear(over, picture[window], weight, 1 - weight, picture[window])
    light = _light(piece.surface, whole)
    if light is None:
        return picture
    return cv2.multiply(picture, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), scale=1 / 128)


def _light(surface: Surface, whole: np.ndarray) -> np.ndarray | None:
    """uint8 (h, w), 128 for light as it is; from the upper left."""
    height, width = whole.shape
    light = None
    if surface.relief or surface.slope:
        # The slope of the coverage, blurred, stands in for that of a round body: it faces away at the rim.
        small = cv2.resize(whole, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        round_ = cv2.blur(cv2.blur(small, (9, 9)), (9, 9))
        facing = cv2.filter2D(round_, -1, _TOWARDS_LIGHT)
        light = cv2.addWeighted(facing, 640 * surface.relief, _RAMP, 45 * surface.slope, 128)
        light = np.clip(light, 25, 230).astype(np.uint8)
        light = cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR)
    if surface.edge:
        inner = cv2.blur(cv2.erode(whole, None), (3, 3))
        line = cv2.convertScaleAbs(cv2.subtract(255, inner), alpha=abs(surface.edge) * 0.5)
        light = np.full_like(whole, 128) if light is None else light
        light = cv2.subtract(light, line) if surface.edge > 0 else cv2.add(light, line)
    return light
