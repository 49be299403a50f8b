# SPDX-License-Identifier: Apache-2.0
"""Things on wheels: cars, vans, trucks, bicycles.

In: draws and a wardrobe. Out: `Body`. Up is where y is low.
"""

import math

import numpy as np

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, build
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed, polar
from data.synthetic.surfaces import Wardrobe


def car(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A car, a van or a truck, with wheels that turn and windows."""
    paint, glass, rubber = wardrobe.main(dice), wardrobe.main(dice), wardrobe.main(dice)
    kind, roof, wheel = dice.choice(("car", "van", "truck")), -dice.uniform(0.25, 0.5), dice.uniform(0.16, 0.26)
    hull, windows, top = {
        "car": (
            [(-0.95, 0), (-0.7, -0.1), (-0.45, roof), (0.25, roof), (0.55, -0.08)],
            ((-0.42, -0.12), (-0.08, 0.3)),
            roof,
        ),
        "van": ([(-0.95, roof - 0.1), (0.5, roof - 0.1), (0.75, -0.05)], ((-0.3, 0.05), (0.15, 0.5)), roof),
        "truck": (
            [(-0.95, roof - 0.2), (0.35, roof - 0.2), (0.35, roof + 0.1), (0.75, roof + 0.1)],
            ((0.45, 0.75),),
            roof + 0.2,
        ),
    }[kind]
    hull = closed([(-0.95, 0.3), *hull, (0.95, 0.02), (0.95, 0.3)], soft=dice.integer(0, 2))
    patches = []
    for left, right in windows:
        pane = closed([(left, top + 0.06), (right, top + 0.06), (right + 0.1, -0.03), (left - 0.05, -0.03)])
        patches.append(Patch("window", pane, glass))
    patches.append(Patch("light", Outline((circle(0.07, 0.88, 0.08),)), wardrobe.main(dice)))
    if dice.chance(0.4):
        line = Outline((band(-2, 0.1, 2, dice.uniform(0.16, 0.22)),))
        patches.append(Patch("stripe", line, wardrobe.part(dice, paint)))
    if kind == "truck" and dice.chance(0.6):
        patches.append(Patch("cargo", Outline((band(-2, -2, 0.33, 0.12),)), wardrobe.part(dice, paint)))
    spokes = tuple((np.array([(0, 0), tip]), 0.15) for tip in polar(np.arange(5) * 1.2566, 0.5))
    hub = (
        Patch("hub", Outline((circle(0.6),)), wardrobe.part(dice, rubber)),
        Patch("", Outline(strokes=spokes), rubber),
    )
    spin, disc = dice.normal(0.35), Outline((circle(),))
    pieces = [Piece("wheel", disc, rubber, hub, rest=place(x, 0.32, 0, wheel), spin=spin) for x in (-0.55, 0.55)]
    pieces.append(Piece("hull", hull, paint, tuple(patches)))
    return build(kind, pieces, {"wheels": ("wheel",)})


def bicycle(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A frame of thin bars and two wheels of thin spokes, with gaps between."""
    steel, rubber = wardrobe.main(dice), wardrobe.main(dice)
    size, width, spin = dice.uniform(0.34, 0.44), dice.uniform(0.05, 0.09), dice.normal(0.3)
    tyre = Outline((circle(1.0), circle(dice.uniform(0.75, 0.9))))
    wires = Outline(strokes=tuple((np.array([-tip, tip]), 0.06) for tip in polar(np.arange(3) * math.pi / 3, 0.95)))
    lines = (
        [(-0.55, 0.3), (-0.15, 0.3), (0.4, -0.25), (-0.25, -0.25), (-0.55, 0.3)],
        [(-0.15, 0.3), (-0.3, -0.4)],
        [(0.55, 0.3), (0.35, -0.5), (0.2, -0.5)],
    )
    bars = Outline((band(-0.42, -0.46, -0.15, -0.38),), tuple((np.array(line), width) for line in lines))
    pieces = [Piece("frame", bars, steel)]
    for x in (-0.55, 0.55):
        rest = place(x, 0.3, 0, size)
        pieces.append(Piece("wheel: tyre", tyre, rubber, rest=rest, spin=spin))
        pieces.append(Piece("wheel: spokes", wires, rubber, rest=rest, spin=spin))
    return build("bicycle", pieces, {"wheels": ("wheel",)})
