# SPDX-License-Identifier: Apache-2.0
"""Things of one piece with markings on it, and things joined of pieces at random.

In: draws and a wardrobe. Out: `Body`.
"""

import math

import numpy as np

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, Swing, build
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed, polar
from data.synthetic.shapes import FAMILIES, draw_outline
from data.synthetic.surfaces import Surface, Wardrobe

_FULL = ("round", "angular", "spiky")  # families whose shapes have room for markings


def single(dice: Dice, wardrobe: Wardrobe) -> Body:
    """One shape, often with markings."""
    return _marked(dice, wardrobe, dice.choice(tuple(FAMILIES), (5, 5, 2, 2, 2, 2)))


def full(dice: Dice, wardrobe: Wardrobe) -> Body:
    """One shape without holes or gaps."""
    return _marked(dice, wardrobe, dice.choice(_FULL[:2]))


def _marked(dice: Dice, wardrobe: Wardrobe, family: str) -> Body:
    surface, outline = wardrobe.main(dice), draw_outline(dice, family)
    patches = markings(dice, wardrobe, surface, outline) if family in _FULL and dice.chance(0.6) else ()
    return build(family, [Piece("", outline, surface, patches)])


def markings(dice: Dice, wardrobe: Wardrobe, main: Surface, outline: Outline) -> tuple[Patch, ...]:
    """A band, a half, spots, a label, a core, a face or stripes, within the outline of a full shape."""
    left, top, right, bottom = outline.box()
    middle_x, middle_y, half_x, half_y = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
    surface = wardrobe.part(dice, main)
    kind = dice.choice(("band", "half", "spots", "label", "core", "face", "stripes"), (2, 2, 2, 2, 2, 1, 1))
    if kind == "band":
        start, width = dice.uniform(-0.7, 0.2), dice.uniform(0.25, 0.7)
        across = Outline((band(-3, start * half_y, 3, (start + width) * half_y),))
        return (Patch("band", across.laid(middle_x, middle_y, dice.normal(0.5)), surface),)
    if kind == "half":
        line = [(x, dice.normal(0.3)) for x in (-1, 0, 1)]
        half = closed([(-3, 0), *line, (3, 0), (3, 3), (-3, 3)], soft=1)
        return (Patch("half", half.laid(middle_x, middle_y, dice.angle()), surface),)
    if kind == "spots":
        spots, turn = [], dice.angle()
        for number in range(dice.integer(2, 5)):
            x, y = polar(turn + 2.4 * number, dice.uniform(0.2, 0.6)) * (half_x, half_y)
            ring = circle(dice.uniform(0.12, 0.28) * min(half_x, half_y), middle_x + x, middle_y + y)
            spots.append(Patch("spot", Outline((ring,)), surface))
        return tuple(spots)
    if kind == "label":
        wide, high = dice.uniform(0.25, 0.6) * half_x, dice.uniform(0.2, 0.5) * half_y
        label = Outline((band(-wide, -high, wide, high),)).laid(middle_x, middle_y)
        if dice.chance(0.5):
            return (Patch("label", label, surface),)
        sign = draw_outline(dice, dice.choice(("lines", "spiky", "round")))
        sign = sign.laid(middle_x, middle_y, scale=0.8 * min(wide, high))
        return Patch("label", label, surface), Patch("sign", sign, wardrobe.main(dice))
    if kind == "core":
        return (Patch("core", outline.laid(0, 0, scale=dice.uniform(0.35, 0.8)), surface),)
    if kind == "face":
        return face(dice, wardrobe, min(half_x, half_y), middle_x, middle_y)
    turn, width = dice.angle(), dice.uniform(0.1, 0.22)
    rings = tuple(band(-3, y - width / 2, 3, y + width / 2) for y in np.arange(-1, 1.1, 2.4 * width))
    return (Patch("", Outline(rings).laid(0, 0, turn), surface),)


def face(dice: Dice, wardrobe: Wardrobe, size: float, x: float = 0.0, y: float = 0.0) -> tuple[Patch, ...]:
    """Two eyes with pupils, and a mouth."""
    eyes, pupils = wardrobe.main(dice), wardrobe.main(dice)
    wide, radius, high = dice.uniform(0.25, 0.45) * size, dice.uniform(0.1, 0.2) * size, y - dice.uniform(0, 0.3) * size
    patches = [Patch("eye", Outline((circle(radius, x + side * wide, high),)), eyes) for side in (-1, 1)]
    patches += [Patch("", Outline((circle(0.5 * radius, x + side * wide, high),)), pupils) for side in (-1, 1)]
    smile = polar(np.linspace(0.15, 0.85, 8) * math.pi, 0.5 * size) * (1, dice.uniform(-0.6, 1)) + (x, y + 0.1 * size)
    return (*patches, Patch("mouth", Outline(strokes=((smile, 0.12 * size),)), pupils))


def compound(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A core with things attached around it, in the same way on both sides or not; some of them swing."""
    main = wardrobe.main(dice)
    core = draw_outline(dice, dice.choice(_FULL))
    pieces = [Piece("core", core, main, markings(dice, wardrobe, main, core) if dice.chance(0.4) else ())]
    mirrored = dice.chance(0.6)
    for number in range(dice.integer(1, 3)):
        outline = draw_outline(dice, dice.choice(tuple(FAMILIES), (4, 4, 2, 1, 1, 3)))
        surface, size = wardrobe.part(dice, main), dice.uniform(0.25, 0.6)
        angle, reach = dice.angle(), dice.uniform(0.6, 1.0)
        swing = dice.choice((None, Swing(dice.uniform(0.2, 0.8), dice.log_uniform(5, 30), 0.0)))
        behind, spin = dice.chance(0.5), dice.choice((0.0, 0.0, dice.normal(0.3)))
        for side in (1, -1) if mirrored else (1,):
            x, y = side * reach * math.cos(angle) * 0.8, reach * math.sin(angle) * 0.6
            rest = place(x, y, angle if side > 0 else math.pi - angle, size, size * side)
            piece = Piece(f"part {number + 1}", outline, surface, (), -1, rest, swing, side * spin)
            pieces.insert(len(pieces) if behind else 0, piece)
    return build("compound", pieces)
