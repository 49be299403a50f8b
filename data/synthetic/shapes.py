# SPDX-License-Identifier: Apache-2.0
"""The shapes of single things, by family: round, angular, spiky, holed, lines, thin.

In: draws. Out: `Outline`, which fills about the square from -1 to 1.
"""

import math

import numpy as np

from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, polar, round_off


def ellipse(dice: Dice) -> Outline:
    return Outline((circle(stretch=dice.log_uniform(0.35, 1)),))


def blob(dice: Dice) -> Outline:
    """A closed curve whose distance from its middle is a short Fourier series."""
    angles = np.arange(48) * (2 * math.pi / 48)
    radii, rough = np.ones(48), dice.log_uniform(0.08, 0.45)
    for wave in range(2, 7):
        radii = radii + rough / (wave - 1) * dice.normal(1) * np.cos(wave * angles + dice.angle())
    ring = polar(angles, np.clip(radii, 0.25, 2)) * (1, dice.log_uniform(0.45, 1))
    return Outline((ring / np.abs(ring).max(),))


def polygon(dice: Dice) -> Outline:
    """A few corners about a middle; sharp or rounded."""
    corners = dice.integer(3, 8)
    angles = (np.arange(corners) + 0.75 * dice.array(corners)) * (2 * math.pi / corners)
    radii = 1 - (0.6 if dice.chance(0.4) else 0.2) * dice.array(corners)
    ring = polar(angles, radii) * (1, dice.log_uniform(0.5, 1))
    return Outline((round_off(ring, dice.integer(1, 3)) if dice.chance(0.5) else ring,))


def rectangle(dice: Dice) -> Outline:
    """Sharp, rounded, or a trapezium."""
    high, lean = dice.log_uniform(0.3, 1), dice.choice((0.0, 0.0, dice.uniform(-0.4, 0.4)))
    ring = band(-1, -high, 1, high) + np.array([(lean, 0), (-lean, 0), (0, 0), (0, 0)])
    if dice.chance(0.5):
        radius = dice.uniform(0.1, 0.9) * min(high, 1)
        inner = ring * ((1 - radius), (high - radius) / high)
        ring = np.concatenate(
            [
                corner + polar(np.linspace(0, math.pi / 2, 6) + math.pi + math.pi / 2 * k, radius)
                for k, corner in enumerate(inner)
            ]
        )
    return Outline((ring,))


def star(dice: Dice) -> Outline:
    tips, depth = dice.integer(4, 11), dice.uniform(0.3, 0.75)
    ring = polar(np.arange(2 * tips) * (math.pi / tips), np.tile([1, depth], tips))
    return Outline((round_off(ring, 2) if dice.chance(0.4) else ring,))


def gear(dice: Dice) -> Outline:
    teeth, depth = dice.integer(6, 14), dice.uniform(0.65, 0.85)
    steps = (np.arange(4 * teeth) + np.tile([0, 0.1, 0, -0.1], teeth)) * (math.pi / 2 / teeth)
    rings = [polar(steps, np.tile([1, 1, depth, depth], teeth))]
    if dice.chance(0.6):
        rings.append(circle(dice.uniform(0.12, 0.5)))
    return Outline(tuple(rings))


def flower(dice: Dice) -> Outline:
    angles = np.arange(96) * (2 * math.pi / 96)
    petals, depth, power = dice.integer(3, 9), dice.uniform(0.25, 0.7), dice.uniform(0.4, 1.5)
    return Outline((polar(angles, 1 - depth * np.abs(np.sin(petals * angles / 2)) ** power),))


def crescent(dice: Dice) -> Outline:
    angles, thick = np.linspace(0.6, 2 * math.pi - 0.6, 28), dice.uniform(0.15, 0.55)
    inner = polar(angles[::-1], 1) * (1 - thick, 1 - 0.4 * thick) + (0.35 * thick, 0)
    return Outline((np.concatenate([polar(angles, 1.0), inner]),))


def drop(dice: Dice) -> Outline:
    """A drop, a leaf or a heart."""
    angles = np.arange(48) * (2 * math.pi / 48)
    kind = dice.choice(("drop", "leaf", "heart"))
    if kind == "drop":
        ring = np.stack([np.cos(angles), np.sin(angles) * np.sin(angles / 2) ** dice.uniform(1, 3)], -1)
    elif kind == "leaf":
        wave = 1 + 0.12 * np.sin(dice.integer(6, 14) * angles) * dice.integer(0, 1)
        ring = np.stack([np.cos(angles), dice.uniform(0.25, 0.6) * np.sin(angles) * np.abs(np.sin(angles)) * wave], -1)
    else:
        x = np.sin(angles) ** 3
        y = -(13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)) / 16
        ring = np.stack([x, y], -1)
    return Outline((ring,))


def cross(dice: Dice) -> Outline:
    """A cross, an arrow, a T or an L."""
    w = dice.uniform(0.18, 0.45)
    ring = dice.choice(
        (
            [
                (-w, -1),
                (w, -1),
                (w, -w),
                (1, -w),
                (1, w),
                (w, w),
                (w, 1),
                (-w, 1),
                (-w, w),
                (-1, w),
                (-1, -w),
                (-w, -w),
            ],
            [(-1, -w), (0.1, -w), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, w), (-1, w)],
            [(-1, -1), (1, -1), (1, -1 + 2 * w), (w, -1 + 2 * w), (w, 1), (-w, 1), (-w, -1 + 2 * w), (-1, -1 + 2 * w)],
            [(-0.7, -1), (-0.7 + 2 * w, -1), (-0.7 + 2 * w, 1 - 2 * w), (0.9, 1 - 2 * w), (0.9, 1), (-0.7, 1)],
        )
    )
    return Outline((round_off(np.array(ring, float), dice.integer(0, 2)),))


def ring(dice: Dice) -> Outline:
    """A ring or a frame, its hole in or off its middle."""
    hole = dice.uniform(0.35, 0.85)
    stretch, shift = dice.log_uniform(0.5, 1), (1 - hole) * dice.uniform(-0.5, 0.5)
    if dice.chance(0.6):
        return Outline((circle(stretch=stretch), circle(hole, shift, 0, stretch)))
    return Outline((band(-1, -stretch, 1, stretch), band(-hole + shift, -hole * stretch, hole + shift, hole * stretch)))


def plate(dice: Dice) -> Outline:
    """A simple shape with several holes."""
    outer = dice.choice((ellipse, blob, rectangle, polygon))(dice).rings[0]
    reach = 0.55 * np.abs(outer).max(0)
    holes = [
        circle(dice.uniform(0.08, 0.2), *(reach * polar(np.array(a), 0.75)))
        for a in dice.angle() + np.arange(dice.integer(2, 5)) * 1.3
    ]
    return Outline((outer, *holes))


_LETTERS = {  # lines through points on a grid of three columns and five rows, numbered by rows
    "A": "CBDO/MHAB/GI", "B": "AMNOKHFCBA/GH", "C": "CBAGMNO", "E": "CAMO/GH", "F": "CAM/GH", "H": "AM/CO/GI",
    "K": "AM/CGO", "M": "MAHCO", "N": "MAOC", "P": "MACIG", "R": "MACIG/HO", "S": "CBAGIONM", "T": "AC/BN",
    "U": "AMNOC", "V": "ANC", "W": "AMHOC", "X": "AO/CM", "Y": "AHC/HN", "Z": "ACMO", "2": "ACIGMO", "3": "ACIOM/GI",
    "4": "BGI/CO", "5": "CAGIOM", "8": "ACOMA/GI",
}  # fmt: skip


def letter(dice: Dice) -> Outline:
    """Strokes of one width, like a letter or a digit."""
    lines, width = dice.choice(tuple(_LETTERS.values())).split("/"), dice.uniform(0.18, 0.5)
    soft = dice.chance(0.4)
    strokes = []
    for line in lines:
        places = np.array([divmod("ABCDEFGHIJKLMNO".index(point), 3) for point in line], float)
        points = (places[:, ::-1] - (1, 2)) * (0.7, 0.45)
        strokes.append((round_off(points, 2, closed=False) if soft else points, width))
    return Outline(strokes=tuple(strokes))


def scribble(dice: Dice) -> Outline:
    """One line that wanders: a rope, a cable, a worm."""
    heading, points = dice.angle(), [(0.0, 0.0)]
    for _ in range(dice.integer(4, 9)):
        heading += dice.normal(0.8)
        points.append((points[-1][0] + math.cos(heading), points[-1][1] + math.sin(heading)))
    line = np.array(points) - np.mean(points, axis=0)
    return Outline(strokes=((round_off(line / np.abs(line).max(), 3, closed=False), dice.log_uniform(0.05, 0.3)),))


def stick(dice: Dice) -> Outline:
    """Straight and thin, perhaps with a knob or a fork at its end."""
    width = dice.log_uniform(0.04, 0.2)
    line, rings = np.array([(-1, 0), (1, 0)], float), ()
    end = dice.choice(("none", "knob", "blade", "fork"))
    strokes = [(line, width)]
    if end == "knob":
        rings = (circle(dice.uniform(1.2, 3) * width, 0.9, 0),)
    elif end == "blade":
        rings = (round_off(band(0.3, -1.8 * width, 1, 1.8 * width), 1),)
    elif end == "fork":
        strokes += [(np.array([(0.4, 0), (0.6, y), (1.0, y)]), 0.7 * width) for y in (-2.4 * width, 2.4 * width)]
    return Outline(rings, tuple(strokes))


def branch(dice: Dice) -> Outline:
    """A line that forks and forks again."""
    strokes = []

    def grow(x, y, heading, length, width, depth):
        end_x, end_y = x + length * math.cos(heading), y + length * math.sin(heading)
        strokes.append((np.array([(x, y), (end_x, end_y)]), width))
        if depth:
            for _ in range(dice.integer(2, 3)):
                turn = heading + dice.normal(0.55)
                grow(end_x, end_y, turn, length * dice.uniform(0.55, 0.85), 0.65 * width, depth - 1)

    grow(0, 1, -math.pi / 2, 0.75, dice.uniform(0.08, 0.2), dice.integer(1, 3))
    return Outline(strokes=tuple((line * 0.8, width) for line, width in strokes))


def lattice(dice: Dice) -> Outline:
    """A fence, a ladder or a grid."""
    high, width = dice.log_uniform(0.4, 1), dice.log_uniform(0.05, 0.14)
    columns, rows = dice.choice(((2, 5), (2, 7), (5, 2), (7, 2), (4, 4), (5, 3)))
    strokes = [(np.array([(x, -high), (x, high)]), width) for x in np.linspace(-0.9, 0.9, columns)]
    strokes += [(np.array([(-1, y), (1, y)]), width) for y in np.linspace(-0.8 * high, 0.8 * high, rows)]
    return Outline(strokes=tuple(strokes))


def hook(dice: Dice) -> Outline:
    """An arc or a spiral."""
    angles = np.linspace(0, dice.uniform(1.0, 4.5) * math.pi, 40)
    line = polar(angles + dice.angle(), np.linspace(dice.uniform(0.3, 1), 1, 40))
    return Outline(strokes=((line * 0.9, dice.log_uniform(0.08, 0.35)),))


FAMILIES = {
    "round": (ellipse, blob, blob, drop),
    "angular": (polygon, rectangle, rectangle, cross),
    "spiky": (star, gear, flower, crescent),
    "holed": (ring, ring, plate, gear),
    "lines": (letter, letter, hook, lattice),
    "thin": (stick, scribble, branch, scribble),
}


def draw_outline(dice: Dice, family: str) -> Outline:
    """Raises `KeyError` where there is no such family."""
    return dice.choice(FAMILIES[family])(dice)
