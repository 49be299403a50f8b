# SPDX-License-Identifier: Apache-2.0
"""Colours that could be those of a place: palettes, single colours, and ramps from dark to light.

In: draws. Out: CIE Lab colours as (lightness 0..100, chroma, hue in degrees), and tables (256, 1, 3) uint8 RGB.
"""

import dataclasses
import functools
import math

import cv2
import numpy as np

from data.synthetic.dice import Dice

Color = tuple[float, float, float]  # lightness 0..100, chroma 0..about 90, hue in degrees


@dataclasses.dataclass(frozen=True)
class Palette:
    """Hues in degrees with their spread, the usual chroma, and the range of the lightness."""

    hues: tuple[float, ...]
    spread: float
    chroma: float
    darkest: float
    lightest: float


def draw_palette(dice: Dice) -> Palette:
    """Most places are muted; some are vivid, nearly grey, or dark."""
    kind = dice.choice(
        ("earth", "foliage", "indoor", "street", "sky", "grey", "vivid", "night"), (3, 3, 4, 4, 2, 2, 3, 1)
    )
    turn = dice.angle() * 180 / math.pi
    return {
        "earth": Palette((45, 65, 80, 100), 12, 16, 8, 90),
        "foliage": Palette((110, 125, 140, 80), 14, 20, 6, 88),
        "indoor": Palette((60, 75, 90, 30, 250), 15, 12, 8, 97),
        "street": Palette((250, 270, 80, 60, 30), 20, 7, 6, 96),
        "sky": Palette((230, 250, 265, 280), 12, 16, 15, 98),
        "grey": Palette((turn,), 30, 3, 5, 97),
        "vivid": Palette((30, 70, 95, 140, 200, 265, 310, 350), 12, 42, 15, 92),
        "night": Palette((260, 280, 60), 15, 12, 2, 60),
    }[kind]


def draw_color(dice: Dice, palette: Palette) -> Color:
    # Dark and light are both more frequent than what lies between.
    share = dice.uniform(-1, 1)
    share = 0.5 + 0.5 * math.copysign(abs(share) ** 0.7, share)
    lightness = palette.darkest + (palette.lightest - palette.darkest) * share
    hue = (dice.choice(palette.hues) + dice.normal(palette.spread)) % 360
    # Greens to blues of a high chroma are rare in photographs, and few of them fit into RGB.
    most = 38.0 if 150 < hue < 290 else 75.0
    return lightness, min(most, palette.chroma * math.exp(dice.normal(0.5))), hue


def near(dice: Dice, color: Color, distance: float) -> Color:
    """Another colour, about `distance` away in the units of Lab; 10 is plain to see, 3 hardly."""
    lightness, chroma, hue = color
    step = distance * (0.75 + dice.uniform(0, 0.5))
    bearing = dice.angle()
    lightness += step * math.cos(bearing)
    lightness = lightness if 4 < lightness < 97 else lightness - 2 * step * math.cos(bearing)
    x, y = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    turn = dice.angle()
    x, y = x + step * math.sin(bearing) * math.cos(turn), y + step * math.sin(bearing) * math.sin(turn)
    return lightness, math.hypot(x, y), math.degrees(math.atan2(y, x))


def shades(dice: Dice, color: Color, contrast: float) -> tuple[Color, ...]:
    """Three stops of a ramp through a colour, `contrast` units of lightness to either side."""
    lightness, chroma, hue = color
    lightness = min(max(lightness, 3 + 0.8 * contrast), 97 - 0.8 * contrast)
    drift = dice.normal(8)
    return (
        (lightness - contrast, chroma * dice.uniform(0.8, 1.15), hue - drift),
        color,
        (lightness + contrast, chroma * dice.uniform(0.6, 1.0), hue + drift),
    )


def ramp(stops: tuple[Color, ...]) -> np.ndarray:
    """(256, 1, 3) uint8 RGB from the first stop to the last, straight in Lab."""
    return _rgb(_shares(len(stops)) @ _lab(stops))


def rgb_of(color: Color) -> tuple[int, int, int]:
    red, green, blue = _rgb(_lab((color,)))[0, 0].tolist()
    return red, green, blue


def lab(color: Color) -> tuple[float, float, float]:
    """L, a and b."""
    lightness, chroma, hue = color
    turn = math.radians(hue)
    return min(max(lightness, 0.0), 100.0), chroma * math.cos(turn), chroma * math.sin(turn)


def _lab(colors: tuple[Color, ...]) -> np.ndarray:
    """(colors, 3) float32."""
    return np.array([lab(color) for color in colors], np.float32)


def _rgb(lab: np.ndarray) -> np.ndarray:
    """(colors, 1, 3) uint8."""
    return np.clip(255 * cv2.cvtColor(lab[:, None], cv2.COLOR_Lab2RGB) + 0.5, 0, 255).astype(np.uint8)


@functools.cache
def _shares(stops: int) -> np.ndarray:
    """(256, stops) float32 what each stop gives to each step of a ramp."""
    away = np.abs(np.linspace(0, stops - 1, 256)[:, None] - np.arange(stops))
    return np.maximum(1 - away, 0).astype(np.float32)
