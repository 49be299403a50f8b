# SPDX-License-Identifier: Apache-2.0
"""Animals with joints: on four legs, fish, birds, snakes.

In: draws and a wardrobe. Out: `Body`. They look to the right; up is where y is low.
"""

import math

import numpy as np

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, Swing, build, limb
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed
from data.synthetic.surfaces import Wardrobe


def animal(dice: Dice, wardrobe: Wardrobe) -> Body:
    """Four legs, a head on a neck, a tail; stocky or slender."""
    skin = wardrobe.main(dice)
    dark = wardrobe.part(dice, skin)
    thick, reach, width = dice.uniform(0.22, 0.45), dice.uniform(0.35, 0.65), dice.uniform(0.1, 0.2)
    period, stride = dice.log_uniform(6, 24), dice.uniform(0.15, 0.6)
    back = [(-0.6, -0.6), (0.1, -0.8), (0.6, -0.7), (0.7, 0.4), (0, 0.7), (-0.65, 0.5)]
    trunk = closed([(x, y * thick) for x, y in back], soft=2)
    coat = ()
    if dice.chance(0.5):
        spot = circle(dice.uniform(0.15, 0.35), dice.uniform(-0.5, 0.2), -0.1, dice.uniform(0.6, 1.4))
        coat = (Patch("patch", Outline((spot,)), dark),)
    neck, head = dice.uniform(0.1, 0.6), dice.uniform(0.18, 0.3)
    head_x, head_y, snout = 0.62 + 0.2 * neck, -0.3 - neck, dice.uniform(0.8, 1.7)
    skull = closed([(-0.9, -0.5), (0, -0.9), (0.6, -0.5), (snout, 0), (snout, 0.5), (0, 0.8), (-0.8, 0.6)], soft=2)
    eye = Patch("eye", Outline((circle(0.16, 0.25, -0.25),)), wardrobe.main(dice))
    ear = closed([(-0.3, 0.1), (0, -dice.uniform(0.5, 1.2)), (0.3, 0.1)], soft=1)
    far = dice.choice((skin, dark))

    def leg(x: float, phase: float, near: bool) -> Piece:
        swing = Swing(stride, period, phase)
        return limb("leg", skin if near else far, (x, 0.3 * thick), 0, reach, width, 0.7, swing=swing)

    wag, lean = Swing(0.4, period * dice.uniform(0.5, 2), 0.0), dice.uniform(0.6, 2.4)
    pieces = [
        Piece("ear", ear, dice.choice((skin, dark)), rest=place(head_x - 0.4 * head, head_y - 0.6 * head, -0.2, head)),
        Piece(
            "head",
            skull,
            skin,
            (eye,),
            rest=place(head_x, head_y, dice.uniform(-0.2, 0.5), head),
            swing=Swing(0.15, 2 * period, 0.0),
        ),
        leg(0.5, 0.0, True),
        leg(-0.5, 0.5, True),
        Piece("trunk", trunk, skin, coat),
        limb("neck", skin, (0.5, -0.3 * thick), math.pi + 0.3, neck + 0.25, 0.24),
        leg(0.6, 0.5, False),
        leg(-0.4, 0.0, False),
        limb(
            "tail", dice.choice((skin, dark)), (-0.6, -0.3 * thick), lean, dice.uniform(0.3, 0.7), 0.1, 0.3, swing=wag
        ),
    ]
    return build("animal", pieces, {"head": ("head", "ear"), "legs": ("leg",)})


def fish(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A trunk, and fins that beat."""
    skin = wardrobe.main(dice)
    fin = wardrobe.part(dice, skin)
    high, period = dice.uniform(0.25, 0.6), dice.log_uniform(4, 16)
    angles = np.arange(40) * (2 * math.pi / 40)
    trunk = np.stack([0.75 * np.cos(angles), high * np.sin(angles) * (0.6 + 0.4 * np.cos(angles / 2) ** 2)], -1)
    upper, lower = dice.uniform(0.25, 0.5), dice.uniform(0.25, 0.5)
    tail = closed([(0.05, -0.08), (-0.4, -upper), (-0.25, 0), (-0.4, lower), (0.05, 0.08)], soft=1)
    marks = [Patch("eye", Outline((circle(0.06, 0.5, -0.08),)), wardrobe.main(dice))]
    if dice.chance(0.5):
        x = dice.uniform(-0.4, 0.2)
        marks.append(Patch("band", Outline((band(x, -1, x + dice.uniform(0.1, 0.4), 1),)), fin))
    back = closed([(-0.4, 0.1), (-0.1, -dice.uniform(0.2, 0.5)), (0.3, 0.1)], soft=1)
    beat = Swing(0.5, period, 0.0)
    pieces = [
        limb("fin", fin, (0.1, 0.1), dice.uniform(0.2, 1), 0.3, 0.2, 0.5, swing=beat),
        Piece("trunk", Outline((trunk,)), skin, tuple(marks)),
        Piece("tail", tail, fin, rest=place(-0.68, 0), swing=beat),
        Piece("back fin", back, fin, rest=place(0, -0.8 * high)),
    ]
    return build("fish", pieces)


def bird(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A trunk and a head, and wings that beat."""
    skin = wardrobe.main(dice)
    feathers = wardrobe.part(dice, skin)
    beat, size = Swing(dice.uniform(0.3, 1.1), dice.log_uniform(4, 20), 0.0), dice.uniform(0.7, 1.2)
    wing = closed([(0.25, 0), (0.1, -0.7), (-0.3, -1.0), (-0.25, -0.6), (-0.4, -0.5), (-0.3, 0)], soft=1)
    beak = closed([(0.12, -0.12), (0.54, 0.02), (0.12, 0.14)])
    eye = Patch("eye", Outline((circle(0.2, 0.35, -0.2),)), wardrobe.main(dice))
    pieces = [
        Piece("wing", wing, feathers, rest=place(0.05, 0, 0.2, size), swing=beat),
        Piece("beak", beak, wardrobe.main(dice), rest=place(0.7, -0.25)),
        Piece("head", Outline((circle(),)), wardrobe.part(dice, skin), (eye,), rest=place(0.6, -0.25, 0, 0.2)),
        Piece("trunk", Outline((circle(0.6, 0, 0, dice.uniform(0.35, 0.6)),)), skin),
        Piece("wing", wing, feathers, rest=place(0.15, 0, 0.5, 0.9 * size), swing=beat),
        limb("tail", feathers, (-0.5, 0), 1.5, 0.45, 0.15, 2.0),
    ]
    return build("bird", pieces, {"wings": ("wing",)})


def snake(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A chain of links that winds; in one texture, or of two in turn."""
    main = wardrobe.main(dice)
    other = wardrobe.part(dice, main) if dice.chance(0.6) else main
    links, period, wind = dice.integer(4, 8), dice.log_uniform(8, 30), dice.uniform(0.2, 0.7)
    length, width = 1.8 / links, dice.uniform(0.12, 0.3)
    eye = Patch("eye", Outline((circle(0.2 * width, 0, 0.5 * length),)), wardrobe.main(dice))
    swing = Swing(wind, period, 0.0)
    pieces = [limb("head", main, (0.9, 0), math.pi / 2, length, width, 0.95, swing=swing, patches=(eye,))]
    for link in range(1, links):
        swing, surface = Swing(wind, period, -link / links), other if link % 2 else main
        at, lean = (0, 0.9 * length), dice.normal(0.2)
        pieces.append(limb("link", surface, at, lean, length, width, 0.95, swing=swing, parent=link - 1))
    return build("snake", pieces)
