# SPDX-License-Identifier: Apache-2.0
"""Made things that stand or lie: houses, cartons, coins, fans, bottles, furniture, tools.

In: draws and a wardrobe. Out: `Body`. Up is where y is low.
"""

import math

import numpy as np

from data.synthetic.affine import place
from data.synthetic.bodies import Body, Patch, Piece, build
from data.synthetic.dice import Dice
from data.synthetic.outlines import Outline, band, circle, closed, polar, round_off
from data.synthetic.plain import markings
from data.synthetic.shapes import draw_outline
from data.synthetic.surfaces import Wardrobe


def house(dice: Dice, wardrobe: Wardrobe) -> Body:
    """Walls with windows and a door, a roof, a chimney."""
    wall, tiles, glass = wardrobe.main(dice), wardrobe.main(dice), wardrobe.main(dice)
    wide, columns, rows = dice.uniform(0.5, 0.9), dice.integer(2, 4), dice.integer(1, 3)
    half_x, half_y, patches = 0.5 * wide / columns, 0.25 / rows, []
    for x in (np.arange(columns) - (columns - 1) / 2) * (1.8 * wide / columns):
        for y in np.arange(rows) * (0.95 / rows):
            window = band(x - half_x, y - half_y, x + half_x, y + half_y)
            patches.append(Patch("window", Outline((window,)), glass))
    x = dice.uniform(-0.6, 0.6) * wide
    patches.append(Patch("door", Outline((band(x - 0.13, 0.45, x + 0.13, 2),)), wardrobe.main(dice)))
    roof = closed([(-wide - 0.12, 0.02), (dice.uniform(-0.3, 0.3), -dice.uniform(0.4, 0.8)), (wide + 0.12, 0.02)])
    pieces = [
        Piece("roof", roof, tiles, rest=place(0, -0.2)),
        Piece("walls", Outline((band(-wide, -0.2, wide, 0.95),)), wall, tuple(patches)),
        Piece("chimney", Outline((band(0, 0, 0.15, 0.5),)), wall, rest=place(0.5 * wide * dice.sign(), -0.85)),
    ]
    return build("house", pieces)


def carton(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A solid box that turns: each side comes and goes."""
    main = wardrobe.main(dice)
    x, y, z = dice.uniform(0.3, 0.75), dice.uniform(0.3, 0.75), dice.uniform(0.3, 0.75)
    sides = {
        "front": (0, 0, z, x, 0, 0, 0, y, 0),
        "back": (0, 0, -z, -x, 0, 0, 0, y, 0),
        "right": (x, 0, 0, 0, 0, -z, 0, y, 0),
        "left": (-x, 0, 0, 0, 0, z, 0, y, 0),
        "top": (0, -y, 0, x, 0, 0, 0, 0, z),
        "bottom": (0, y, 0, x, 0, 0, 0, 0, -z),
    }
    outline, pieces = Outline((band(-1, -1, 1, 1),)), []
    for name, facing in sides.items():
        surface = wardrobe.part(dice, main) if dice.chance(0.4) else main
        patches = markings(dice, wardrobe, surface, outline) if dice.chance(0.5) else ()
        pieces.append(Piece(name, outline, surface, patches, facing=facing))
    return build("carton", pieces, roll=dice.sign() * dice.log_uniform(0.01, 0.25), tilt=dice.uniform(-0.7, 0.3))


def coin(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A card or a coin that turns over, with another surface on its back."""
    main = wardrobe.main(dice)
    outline = draw_outline(dice, dice.choice(("round", "angular")))
    mirrored = Outline(tuple(ring * (-1, 1) for ring in outline.rings))
    marks = markings(dice, wardrobe, main, outline)
    pieces = [
        Piece("front", outline, main, marks, facing=(0, 0, 0, 1, 0, 0, 0, 1, 0)),
        Piece("back", mirrored, wardrobe.part(dice, main), facing=(0, 0, 0, -1, 0, 0, 0, 1, 0)),
    ]
    return build("coin", pieces, roll=dice.sign() * dice.log_uniform(0.03, 0.35), tilt=dice.uniform(-0.3, 0.3))


def fan(dice: Dice, wardrobe: Wardrobe) -> Body:
    """Blades that turn on a stand: a windmill, a ventilator."""
    paint, steel = wardrobe.main(dice), wardrobe.main(dice)
    count, w, size = dice.integer(2, 5), dice.uniform(0.15, 0.4), dice.uniform(0.5, 0.75)
    blade = closed([(0, -0.05), (0.3, -w / 2), (1, -w / 3), (1, w / 3), (0.3, w / 2), (0, 0.05)], soft=1)
    spin, foot = dice.sign() * dice.log_uniform(0.05, 0.6), dice.uniform(0.05, 0.3)
    hub = Piece("hub", Outline((circle(0.12),)), wardrobe.main(dice), rest=place(0, -0.25), spin=spin)
    blades = [Piece("blade", blade, paint, (), 0, place(0, 0, 2 * math.pi * k / count, size)) for k in range(count)]
    stand = Piece("stand", closed([(-0.06, -0.25), (0.06, -0.25), (foot, 1), (-foot, 1)]), steel)
    return build("fan", [hub, *blades, stand], {"blades": ("blade", "hub")})


def vessel(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A bottle, a cup or a vase: the same to the left and to the right; with a cap, a handle, a label."""
    main = wardrobe.main(dice)
    heights = np.linspace(-1, 1, dice.integer(4, 7))
    widths = [dice.uniform(0.15, 0.6) for _ in heights]
    side = round_off(np.stack([widths, heights], -1), 2, closed=False)
    patches = ()
    if dice.chance(0.6):
        top = dice.uniform(-0.6, 0.2)
        around = Outline((band(-1, top, 1, top + dice.uniform(0.3, 0.7)),))
        patches = (Patch("label", around, wardrobe.part(dice, main)),)
    pieces = [Piece("vessel", Outline((np.concatenate([side, side[::-1] * (-1, 1)]),)), main, patches)]
    if dice.chance(0.5):
        wide = widths[0] * dice.uniform(0.9, 1.3)
        cap = Outline((round_off(band(-wide, -0.15, wide, 0.12), 1),))
        pieces.insert(0, Piece("cap", cap, wardrobe.part(dice, main), rest=place(0, -1)))
    if dice.chance(0.5):
        arc = polar(np.linspace(-1.5, 1.5, 14), 1.0) * (dice.uniform(0.25, 0.45), dice.uniform(0.3, 0.5))
        handle = Outline(strokes=((arc, dice.uniform(0.08, 0.16)),))
        pieces.append(Piece("handle", handle, main, rest=place(0.85 * sorted(widths)[len(widths) // 2], 0)))
    return build("vessel", pieces)


def furniture(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A table or a chair: thin legs, flat boards, perhaps a back."""
    wood = wardrobe.main(dice)
    width, board, y = dice.uniform(0.06, 0.14), dice.uniform(0.05, 0.14), dice.uniform(-0.5, 0.1)
    leg = Outline((band(-width / 2, 0, width / 2, 0.95 - y),))
    seat = Outline((band(-0.85, y - board, 0.85, y + board),))
    pieces = [Piece("seat", seat, wardrobe.part(dice, wood))]
    pieces += [Piece("leg", leg, wood, rest=place(x, y)) for x in (-0.7, 0.7)]
    if dice.chance(0.5):
        lean = dice.normal(0.1)
        bars = [(np.array([(x, 0), (x + lean, -0.6)]), width) for x in np.linspace(-0.7, 0.7, dice.integer(2, 5))]
        bars.append((np.array([(-0.75 + lean, -0.6), (0.75 + lean, -0.6)]), 1.6 * width))
        pieces.append(Piece("back", Outline(strokes=tuple(bars)), wood, rest=place(0, y)))
    if dice.chance(0.5):
        pieces.append(Piece("bar", Outline((band(-0.7, -0.05, 0.7, 0.05),)), wood, rest=place(0, 0.6)))
    return build("furniture", pieces, {"legs": ("leg",)})


def tool(dice: Dice, wardrobe: Wardrobe) -> Body:
    """A handle with a head: a hammer, a spoon, a brush, a racket."""
    grip = wardrobe.main(dice)
    width, size = dice.uniform(0.08, 0.2), dice.uniform(0.25, 0.5)
    head = draw_outline(dice, dice.choice(("round", "angular", "holed", "spiky")))
    rest = place(1 - size, 0, dice.choice((0.0, math.pi / 2)), size)
    handle = Outline((round_off(band(-1, -width / 2, 1 - size, width / 2), 1),))
    pieces = [Piece("head", head, wardrobe.part(dice, grip), rest=rest), Piece("handle", handle, grip)]
    return build("tool", pieces if dice.chance(0.5) else pieces[::-1])
