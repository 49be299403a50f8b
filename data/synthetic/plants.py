# SPDX-License-Identifier: Apache-2.0
"""Plants: flowers in pots, and trees.

In: draws and a wardrobe. Out: `Body`. Up is where y is low.
"""

import math

import numpy as np

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, Swing, build, limb
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed, polar, round_off
from data.synthetic.surfaces import Wardrobe


def plant(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A pot, stems that sway, leaves and flowers."""
    clay, green, bloom = wardrobe.main(dice), wardrobe.main(dice), wardrobe.main(dice)
    wide, narrow, period = dice.uniform(0.3, 0.5), dice.uniform(0.2, 0.35), dice.log_uniform(12, 50)
    pot = closed([(-wide, 0), (wide, 0), (narrow, 0.6), (-narrow, 0.6)])
    rim = Patch("rim", Outline((band(-1, 0, 1, 0.12),)), wardrobe.part(dice, clay))
    angles = np.arange(48) * (2 * math.pi / 48)
    head = Outline((polar(angles, 1 - 0.5 * np.abs(np.sin(dice.integer(4, 8) * angles / 2))),))
    middle = Patch("middle", Outline((circle(0.35),)), wardrobe.main(dice))
    leaf = Outline((np.stack([0.5 + 0.5 * np.cos(angles), 0.25 * np.sin(angles)], -1),))
    pieces = []
    for _ in range(dice.integer(1, 4)):
        lean, length = math.pi + dice.normal(0.35), dice.uniform(0.6, 1.1)
        stem = len(pieces)
        if dice.chance(0.7):
            rest = place(0, length, dice.angle(), dice.uniform(0.15, 0.3))
            stem += 1
            pieces.append(Piece("flower", head, bloom, (middle,), stem, rest))
        swing = Swing(0.12, period, dice.uniform())
        pieces.append(limb("stem", green, (dice.normal(0.1), 0.05), lean, length, 0.06, 0.7, swing=swing))
        for _ in range(dice.integer(1, 3)):
            rest = place(0, length * dice.uniform(0.3, 0.9), dice.angle(), dice.uniform(0.2, 0.45))
            pieces.append(Piece("leaf", leaf, green, (), stem, rest))
    pieces.append(Piece("pot", pot, clay, (rim,), rest=place(0, 0.3)))
    return build("plant", pieces, {"plant": ("flower", "stem", "leaf")})


def tree(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A trunk, and a crown of one or more ragged clouds."""
    bark, green = wardrobe.main(dice), wardrobe.main(dice)
    period, pieces = dice.log_uniform(15, 60), []
    for number in range(dice.integer(1, 4)):
        count = dice.integer(9, 22)
        ring = polar(np.arange(count) * (2 * math.pi / count), 0.75 + 0.25 * dice.array(count)) * (1, 0.8)
        rest = place(dice.normal(0.25), -0.4 - 0.15 * number + dice.normal(0.1), 0, dice.uniform(0.35, 0.6))
        swing = Swing(0.05, period, dice.uniform())
        pieces.append(Piece("crown", Outline((round_off(ring, 1),)), green, rest=rest, swing=swing))
    pieces.append(limb("trunk", bark, (0, -0.4), dice.normal(0.08), 1.35, dice.uniform(0.12, 0.25), 1.3))
    return build("tree", pieces, {"crown": ("crown",)})
