# SPDX-License-Identifier: Apache-2.0
"""A line chart, as the paper draws accuracy over rounds and over time (Figures 5, 12, 13).

In: curves, as x and y by name. Out: a uint8 (H, W, 3) RGB picture. No jax, and no plotting library.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sam2_jax.media.overlays import object_color

_WIDTH, _HEIGHT, _FINER = 720, 460, 2  # drawn larger and shrunk, for smooth lines
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 44, 84
_PAPER, _GRID, _INK, _PALE = (255, 255, 255), (228, 230, 234), (40, 42, 48), (110, 114, 122)
_STEPS = (1, 2, 2.5, 5, 10)


def line_chart(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    x_label: str,
    y_label: str,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> np.ndarray:
    """Curves with a mark at each point, a grid at round numbers, and a legend below.

    Args:
        curves: by name, x and y, alike in length.
        bands: by the name of a curve, the low and the high end of each of its points.

    Raises:
        ValueError: there is no curve, or one without points or with as many x as not y.
    """
    bands = bands or {}
    if not curves:
        raise ValueError("A chart needs at least one curve, but none came.")
    for name, (x, y) in curves.items():
        if not len(x) or len(x) != len(y):
            raise ValueError(f"The curve {name!r} has {len(x)} x and {len(y)} y; expected as many, and at least one.")
    all_x = np.concatenate([np.asarray(x, float) for x, _ in curves.values()])
    all_y = np.concatenate([np.asarray(y, float) for y in (*(y for _, y in curves.values()), *sum(bands.values(), ()))])
    x_ticks, y_ticks = _ticks(all_x.min(), all_x.max()), _ticks(all_y.min(), all_y.max())

    chart = Image.new("RGB", (_WIDTH * _FINER, _HEIGHT * _FINER), _PAPER)
    draw = ImageDraw.Draw(chart, "RGBA")
    font, small = (ImageFont.load_default(size * _FINER) for size in (15, 12))
    x_end, y_end = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _FINER * (_LEFT + across * (x_end - _LEFT)), _FINER * (y_end - up * (y_end - _TOP))

    for tick in y_ticks:
        draw.line([place(x_ticks[0], tick), place(x_ticks[-1], tick)], _GRID, _FINER)
        draw.text(np.add(place(x_ticks[0], tick), (-8 * _FINER, 0)).tolist(), f"{tick:g}", _PALE, small, anchor="rm")
    for tick in x_ticks:
        draw.line([place(tick, y_ticks[0]), place(tick, y_ticks[-1])], _GRID, _FINER)
        draw.text(np.add(place(tick, y_ticks[0]), (0, 6 * _FINER)).tolist(), f"{tick:g}", _PALE, small, anchor="mt")
    for index, (name, (x, y)) in enumerate(curves.items()):
        color = object_color(index)
        if name in bands:
            low, high = bands[name]
            outline = [place(*point) for point in [*zip(x, low), *reversed(list(zip(x, high)))]]
            draw.polygon(outline, fill=(*color, 40))
        points = [place(*point) for point in zip(x, y)]
        draw.line(points, color, 2 * _FINER + 1, joint="curve")
        for across, down in points:
            radius = 3.5 * _FINER
            draw.ellipse((across - radius, down - radius, across + radius, down + radius), color, _PAPER, _FINER)
    draw.text((_FINER * _LEFT, _FINER * 14), title, _INK, font)
    draw.text((_FINER * (_LEFT + x_end) / 2, _FINER * (y_end + 26)), x_label, _INK, small, anchor="mt")
    draw.text((_FINER * 8, _FINER * (_TOP - 8)), y_label, _INK, small, anchor="lm")
    _legend(draw, list(curves), small)
    return np.array(chart.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))


def _legend(draw: ImageDraw.ImageDraw, names: list[str], font: ImageFont.ImageFont) -> None:
    left, top = _FINER * _LEFT, _FINER * (_HEIGHT - 22)
    for index, name in enumerate(names):
        draw.line([(left, top), (left + 18 * _FINER, top)], object_color(index), 3 * _FINER)
        draw.text((left + 24 * _FINER, top), name, _INK, font, anchor="lm")
        left += 24 * _FINER + font.getlength(name) + 22 * _FINER


def _ticks(low: float, high: float, count: int = 6) -> np.ndarray:
    """Round numbers, evenly spaced, that hold all values between the first and the last."""
    if high - low < 1e-9 * max(abs(high), 1):
        low, high = low - 1, high + 1
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = magnitude * next(factor for factor in _STEPS if factor * magnitude >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.arange(first, last + 1) * step
