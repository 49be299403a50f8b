# SPDX-License-Identifier: Apache-2.0
"""Affine maps of the plane as six plain floats: for a few at a time, far faster than matrices.

In: positions, angles and scales. Out: (a, b, c, d, e, f), which takes (x, y) to (a x + b y + c, d x + e y + f).
Angles are in radians and turn x towards y.
"""

import math

Affine = tuple[float, float, float, float, float, float]


def place(x: float, y: float, angle: float = 0.0, scale_x: float = 1.0, scale_y: float | None = None) -> Affine:
    """Scale, then turn, then move to (x, y)."""
    scale_y = scale_x if scale_y is None else scale_y
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * scale_x, -sine * scale_y, x, sine * scale_x, cosine * scale_y, y


def then(first: Affine, second: Affine) -> Affine:
    """The first map, then the second."""
    a, b, c, d, e, f = first
    p, q, r, s, t, u = second
    return p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u


def apply(affine: Affine, x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = affine
    return a * x + b * y + c, d * x + e * y + f


def area_scale(affine: Affine) -> float:
    """How many times larger areas become; 0 for a map onto a line."""
    return abs(affine[0] * affine[4] - affine[1] * affine[3])


def inverse(affine: Affine) -> Affine:
    """Raises `ZeroDivisionError` for a map onto a line."""
    a, b, c, d, e, f = affine
    k = 1 / (a * e - b * d)
    return e * k, -b * k, (b * f - c * e) * k, -d * k, a * k, (c * d - a * f) * k


def bounds(affine: Affine, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what a rectangle becomes."""
    a, b, c, d, e, f = affine
    middle_x, middle_y, half_x, half_y = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
    x, y = a * middle_x + b * middle_y + c, d * middle_x + e * middle_y + f
    reach_x, reach_y = abs(a) * half_x + abs(b) * half_y, abs(d) * half_x + abs(e) * half_y
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y
