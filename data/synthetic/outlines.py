# SPDX-License-Identifier: Apache-2.0
"""Outlines: closed curves with holes, and strokes; and which part of each pixel they cover.

In: corners, in units in which an outline fills about the square from -1 to 1. Out: `Outline` and uint8 (H, W) coverage.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from data.synthetic.affine import Affine, place, then

_FINE = 4  # coverage is counted on so many times finer a grid,
_MANY = 128 * 128  # and on half as fine a one for more pixels than these
_SHIFT = 4  # bits of a fine pixel in which OpenCV takes corners


@dataclasses.dataclass(frozen=True, eq=False)
class Outline:
    """Attributes:
    rings: (N, 2) corners each; a point is inside if it is in an odd number of them.
    strokes: (N, 2) points of a line, and its width.
    """

    rings: tuple[np.ndarray, ...] = ()
    strokes: tuple[tuple[np.ndarray, float], ...] = ()

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        points = [(ring.min(0), ring.max(0)) for ring in self.rings]
        points += [(line.min(0) - width / 2, line.max(0) + width / 2) for line, width in self.strokes]
        left, top = np.min([low for low, _ in points], axis=0)
        right, bottom = np.max([high for _, high in points], axis=0)
        return float(left), float(top), float(right), float(bottom)

    def laid(self, x: float, y: float, angle: float = 0.0, scale: float = 1.0) -> "Outline":
        """Scaled, turned, and moved to (x, y)."""
        a, b, c, d, e, f = place(x, y, angle, scale)
        turn, move = np.array([[a, d], [b, e]]), np.array([c, f])
        return Outline(
            tuple(ring @ turn + move for ring in self.rings),
            tuple((line @ turn + move, width * scale) for line, width in self.strokes),
        )


def cover(outline: Outline, to_pixels: Affine, height: int, width: int) -> np.ndarray:
    """uint8 (height, width): 255 for a pixel that is covered whole. Pixel (0, 0) is the square from 0 to 1."""
    fine = _FINE if height * width < _MANY else _FINE // 2
    canvas = np.zeros((height * fine, width * fine), np.uint8)
    # OpenCV puts whole numbers at the centres of pixels.
    a, b, c, d, e, f = then(then(to_pixels, place(0, 0, 0, fine)), place(-0.5, -0.5))
    turn, move = np.array([[a, d], [b, e]]), np.array([c, f])
    one = 1 << _SHIFT
    if outline.rings:
        cv2.fillPoly(canvas, [np.rint((r @ turn + move) * one).astype(np.int32) for r in outline.rings], 255, 8, _SHIFT)
    scale = math.sqrt(abs(a * e - b * d))
    for line, thickness in outline.strokes:
        points = [np.rint((line @ turn + move) * one).astype(np.int32)]
        cv2.polylines(canvas, points, False, 255, max(1, round(thickness * scale)), 8, _SHIFT)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def fill(picture: np.ndarray, outline: Outline, to_pixels: Affine, color: tuple[int, int, int]) -> None:
    """Paints an outline into a picture (H, W, 3) uint8 in one colour; faster, and less exact, than by `cover`."""
    a, b, c, d, e, f = then(to_pixels, place(-0.5, -0.5))
    turn, move, one = np.array([[a, d], [b, e]]), np.array([c, f]), 1 << _SHIFT
    if outline.rings:
        rings = [np.rint((ring @ turn + move) * one).astype(np.int32) for ring in outline.rings]
        cv2.fillPoly(picture, rings, color, cv2.LINE_AA, _SHIFT)
    scale = math.sqrt(abs(a * e - b * d))
    for line, thickness in outline.strokes:
        points = [np.rint((line @ turn + move) * one).astype(np.int32)]
        cv2.polylines(picture, points, False, color, max(1, round(thickness * scale)), cv2.LINE_AA, _SHIFT)


def round_off(ring: np.ndarray, times: int = 2, closed: bool = True) -> np.ndarray:
    """Cuts the corners of a line, a quarter from each side, so often."""
    for _ in range(times):
        after = np.concatenate([ring[1:], ring[:1]])
        cut = np.empty((2 * len(ring), 2))
        cut[0::2], cut[1::2] = 0.75 * ring + 0.25 * after, 0.25 * ring + 0.75 * after
        ring = cut if closed else np.concatenate([ring[:1], cut[:-2], ring[-1:]])
    return ring


def closed(corners: Sequence[tuple[float, float]], soft: int = 0) -> Outline:
    """The outline of one ring; its corners are cut `soft` times."""
    return Outline((round_off(np.array(corners, float), soft),))


def polar(angles: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    points = np.empty((*np.shape(angles), 2))
    points[..., 0], points[..., 1] = radii * np.cos(angles), radii * np.sin(angles)
    return points


def circle(radius: float = 1.0, x: float = 0.0, y: float = 0.0, stretch: float = 1.0, corners: int = 32) -> np.ndarray:
    """A ring, `stretch` times as high as wide."""
    return polar(np.arange(corners) * (2 * math.pi / corners), radius) * (1, stretch) + (x, y)


def band(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """A rectangle's ring."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
