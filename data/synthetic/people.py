# SPDX-License-Identifier: Apache-2.0
"""People and hands, with joints.

In: draws and a wardrobe. Out: `Body`. Up is where y is low.
"""

import math

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, Swing, build, limb
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed
from data.synthetic.plain import face
from data.synthetic.surfaces import Wardrobe


def person(dice: Dice, wardrobe: Wardrobe) -> Body:
    """Head, trunk, arms with elbows and legs with knees; walking, waving or still."""
    skin, shirt, trousers = wardrobe.main(dice), wardrobe.main(dice), wardrobe.main(dice)
    hair, sleeves = wardrobe.part(dice, skin), dice.choice((shirt, skin))
    period, stride = dice.log_uniform(8, 30), dice.choice((0.05, dice.uniform(0.3, 0.8)))
    broad, width = dice.uniform(0.17, 0.28), dice.uniform(0.09, 0.15)
    marks, features = (), [Patch("hair", Outline((band(-2, -2, 2, dice.uniform(-0.5, 0)),)), hair)]
    if dice.chance(0.4):
        marks = (Patch("print", Outline((circle(0.5 * broad, 0, -0.1),)), wardrobe.part(dice, shirt)),)
    if dice.chance(0.5):
        features += face(dice, wardrobe, 0.8, 0.1, 0.2)
    trunk = closed([(-broad, -0.34), (broad, -0.34), (0.8 * broad, 0.3), (-0.8 * broad, 0.3)], soft=1)
    skull, nod = Outline((circle(stretch=1.2),)), Swing(0.1, period, 0.0)

    def arm(side: int, first: int) -> list[Piece]:
        at, lean, bend = (side * broad * 0.85, -0.28), -side * dice.uniform(0.1, 1.2), -side * dice.uniform(0, 1.8)
        swing, bow = Swing(stride, period, 0.25 + 0.25 * side), Swing(0.3 * stride, period, 0.0)
        upper = limb("arm", shirt, at, lean, 0.3, width, 0.8, swing=swing)
        return [limb("arm", sleeves, (0, 0.28), bend, 0.3, 0.8 * width, 0.7, swing=bow, parent=first + 1), upper]

    def leg(side: int, first: int) -> list[Piece]:
        phase = 0.25 - 0.25 * side
        swing, bow = Swing(stride, period, phase), Swing(0.5 * stride, period, phase + 0.25)
        upper = limb("leg", trousers, (side * broad * 0.45, 0.25), 0, 0.38, 1.3 * width, 0.8, swing=swing)
        return [limb("leg", trousers, (0, 0.36), 0.1, 0.38, width, 0.7, swing=bow, parent=first + 1), upper]

    pieces = [Piece("head", skull, skin, tuple(features), rest=place(0, -0.58, 0, 0.17), swing=nod)]
    pieces += [*arm(1, 1), Piece("trunk", trunk, shirt, marks), *leg(1, 4), *leg(-1, 6), *arm(-1, 8)]
    return build("person", pieces, {"legs": ("leg",), "trunk and arms": ("trunk", "arm")})


def hand(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A palm and five fingers."""
    skin = wardrobe.main(dice)
    period, width = dice.log_uniform(10, 40), dice.uniform(0.16, 0.24)
    palm = closed([(-0.42, -0.2), (0.42, -0.25), (0.38, 0.5), (0.25, 1), (-0.25, 1), (-0.38, 0.5)], soft=2)
    pieces = [Piece("palm", palm, skin)]
    for x, y, lean, length in (
        (-0.36, -0.15, -0.2, 0.6),
        (-0.12, -0.22, -0.05, 0.72),
        (0.12, -0.22, 0.05, 0.68),
        (0.34, -0.15, 0.2, 0.5),
        (-0.4, 0.4, -1.0, 0.5),
    ):
        swing = Swing(dice.uniform(0.02, 0.3), period, dice.uniform())
        pieces.append(limb("finger", skin, (x, y), math.pi + lean, length, width, 0.8, swing=swing))
    return build("hand", pieces, {"fingers": ("finger",)})
