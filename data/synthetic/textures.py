# SPDX-License-Identifier: Apache-2.0
"""Textures: grey tiles turned, scaled, mixed and coloured.

In: draws, then the map from the pixels to be filled to the surface they show. Out: uint8 (H, W, 3) RGB.
"""

import dataclasses
import math

import cv2
import numpy as np

from data.synthetic.affine import Affine, bounds, place, then
from data.synthetic.colors import Color, Palette, draw_color, near, ramp, shades
from data.synthetic.dice import Dice
from data.synthetic.tiles import SIDE, tiles

_RANDOM = ("noise", "grain", "veins", "spots", "cells", "leaves")
_REGULAR = ("stripes", "checks", "dots", "bricks", "writing")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A tile on a surface.

    Attributes:
        family, number: which tile.
        place: from the surface's units to pixels of the tile.
        weight: its share of the contrast.
    """

    family: str
    number: int
    place: Affine
    weight: float


@dataclasses.dataclass(frozen=True)
class Texture:
    """Layers added up, and the ramp of colours they go through.

    Attributes:
        stain: another texture that shows where a third pattern is bright, and that pattern.
    """

    layers: tuple[Layer, ...]
    stops: tuple[Color, ...]
    stain: "tuple[Texture, Layer] | None" = None


def draw_texture(dice: Dice, palette: Palette, unit: float = 1.0, color: Color | None = None) -> Texture:
    """A texture for things of about `unit` units in size; through `color`, where it is given."""
    color = draw_color(dice, palette) if color is None else color
    kind = dice.choice(("plain", "random", "regular"), (3, 5, 2))
    if kind == "plain":
        layers = (_draw_layer(dice, ("noise", "grain"), unit, 1.0),)
        stops = shades(dice, color, dice.log_uniform(0.8, 7))
    else:
        share = dice.uniform(0.55, 0.95)
        layers = (
            _draw_layer(dice, _RANDOM if kind == "random" else _REGULAR, unit, share),
            _draw_layer(dice, ("noise",), unit, 1 - share),
        )
        if dice.chance(0.45):
            stops = shades(dice, color, dice.log_uniform(5, 35))
        else:
            other = draw_color(dice, palette) if dice.chance(0.6) else near(dice, color, dice.uniform(10, 40))
            stops = (near(dice, color, 4), color, other, near(dice, other, 4))
    texture = Texture(layers, stops)
    if dice.chance(0.2):
        stain = Texture(layers[:1], shades(dice, near(dice, color, dice.uniform(8, 30)), dice.log_uniform(2, 12)))
        texture = dataclasses.replace(texture, stain=(stain, _draw_layer(dice, ("noise", "spots"), 2 * unit, 1.0)))
    return texture


def recolored(dice: Dice, texture: Texture, distance: float) -> Texture:
    """The same pattern in colours about `distance` units of Lab away, laid elsewhere on the surface."""
    lightness, chroma, hue = texture.stops[len(texture.stops) // 2]
    new = near(dice, (lightness, chroma, hue), distance)
    shift = (new[0] - lightness, new[1] - chroma, new[2] - hue)
    stops = tuple((stop[0] + shift[0], max(0.0, stop[1] + shift[1]), stop[2] + shift[2]) for stop in texture.stops)
    return dataclasses.replace(moved(dice, texture), stops=stops)


def moved(dice: Dice, texture: Texture) -> Texture:
    """The same texture, laid elsewhere on the surface."""
    shift = place(dice.uniform(-9, 9), dice.uniform(-9, 9))
    layers = tuple(dataclasses.replace(layer, place=then(shift, layer.place)) for layer in texture.layers)
    return dataclasses.replace(texture, layers=layers)


def scaled(texture: Texture, factor: float) -> Texture:
    """The same texture, `factor` times as large on the surface."""
    shrink = place(0, 0, 0, 1 / factor)
    layers = tuple(dataclasses.replace(layer, place=then(shrink, layer.place)) for layer in texture.layers)
    return dataclasses.replace(texture, layers=layers)


def paint(texture: Texture, to_surface: Affine, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3) RGB; `to_surface` goes from pixels to the surface's units."""
    grey = _pattern(texture.layers[0], to_surface, height, width)
    total = texture.layers[0].weight
    for layer in texture.layers[1:]:
        total += layer.weight
        share = layer.weight / total
        grey = cv2.addWeighted(grey, 1 - share, _pattern(layer, to_surface, height, width), share, 0)
    picture = cv2.applyColorMap(grey, ramp(texture.stops))
    if texture.stain is not None:
        stain, where = texture.stain
        weight = _pattern(where, to_surface, height, width)
        weight = np.clip((weight.astype(np.float32) - 120) / 40, 0, 1)
        picture = cv2.blendLinear(paint(stain, to_surface, height, width), picture, weight, 1 - weight)
    return picture


def _draw_layer(dice: Dice, families: tuple[str, ...], unit: float, weight: float) -> Layer:
    family = dice.choice(families)
    number = dice.integer(0, len(tiles()[family]) - 1)
    zoom = dice.log_uniform(60, 400) / unit  # pixels of the tile in a unit
    stretch = dice.log_uniform(0.7, 1.4)
    turn = dice.angle() if family in _RANDOM or dice.chance(0.5) else 0.0
    laid = place(dice.uniform(0, SIDE), dice.uniform(0, SIDE), turn, zoom * stretch, zoom / stretch)
    return Layer(family, number, laid, weight)


def _pattern(layer: Layer, to_surface: Affine, height: int, width: int) -> np.ndarray:
    a, b, c, d, e, f = then(to_surface, layer.place)
    # The copy whose pixels are about as large as those to be filled: no pattern finer than they can show.
    step = max(a * a + d * d, b * b + e * e) ** 0.5
    levels = tiles()[layer.family][layer.number].levels
    level, factor = 0, 1.0
    while step * factor > 1.8 and level < len(levels) - 1:
        level, factor = level + 1, factor / 2
    left, top, _, _ = bounds((a, b, c, d, e, f), 0, 0, width, height)
    c, f = c - SIDE * math.floor(left / SIDE), f - SIDE * math.floor(top / SIDE)
    shift = (factor - 1) / 2
    affine = np.array([[a * factor, b * factor, c * factor + shift], [d * factor, e * factor, f * factor + shift]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(levels[level], affine, (width, height), flags=flags, borderMode=cv2.BORDER_WRAP)
