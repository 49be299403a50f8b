# SPDX-License-Identifier: Apache-2.0
"""What stands about in a scene, and what hides its stars for a while.

In: draws, the backdrop, the track of a star. Out: `Actor`.
"""

import dataclasses
import math

import numpy as np

from data.synthetic import made, people, plain, plants, vehicles
from data.synthetic.backdrops import Backdrop, stuff
from data.synthetic.bodies import Body, Piece, build
from data.synthetic.dice import Dice
from data.synthetic.motion import Track, passing
from data.synthetic.outlines import Outline, band, round_off
from data.synthetic.scenes import Actor
from data.synthetic.shapes import draw_outline
from data.synthetic.surfaces import draw_wardrobe

_STANDING = (
    plants.tree,
    made.house,
    plants.plant,
    made.furniture,
    made.vessel,
    made.carton,
    plain.single,
    vehicles.car,
)


def fixture(dice: Dice, backdrop: Backdrop, frames: int) -> Actor:
    """Something that stands or hangs there, behind most others: furniture, trees, posters, walls."""
    if dice.chance(0.3):
        body, radius = _slab(dice, backdrop), dice.log_uniform(0.15, 0.6)
    else:
        radius = dice.log_uniform(0.08, 0.45)
        wardrobe = draw_wardrobe(dice, backdrop.palette, backdrop.texture, radius)
        body = dice.choice(_STANDING)(dice, wardrobe)
    x, y, one = dice.uniform(-0.1, 1.1), dice.uniform(0, 1.1), np.ones(frames)
    track = Track(x * one, y * one, dice.normal(0.06) * one, radius * one, one, dice.uniform(0, 2.5) * one)
    return Actor(body, track, "fixture", "rest", shadow=dice.choice((0.0, dice.uniform(0.2, 0.6))))


def rows(dice: Dice, backdrop: Backdrop, frames: int) -> list[Actor]:
    """The same thing many times, side by side, as on a shelf or a wall."""
    columns, lines = dice.choice(((3, 1), (4, 1), (5, 1), (3, 2), (4, 2), (3, 3)))
    pitch = dice.uniform(0.12, 0.9 / columns)
    radius = pitch * dice.uniform(0.35, 0.6)
    wardrobe = draw_wardrobe(dice, backdrop.palette, backdrop.texture, radius)
    kinds = (plain.single, plain.full, made.vessel, made.furniture, plants.plant, made.coin, made.carton, people.person)
    body = dice.choice(kinds)(dice, wardrobe)
    left, top = dice.uniform(0.05, 0.95 - pitch * (columns - 1)), dice.uniform(0.1, 0.9)
    lean, mess, depth, one = dice.normal(0.1), dice.choice((0.02, 0.2)), dice.uniform(0.5, 5), np.ones(frames)
    shadow = dice.choice((0.0, dice.uniform(0.2, 0.6)))
    actors = []
    for number in range(columns * lines):
        row, column = divmod(number, columns)
        x = left + pitch * (column + dice.normal(mess / 2))
        y = top + pitch * (1.2 * row + lean * column + dice.normal(mess / 2))
        size = radius * (1 + dice.normal(mess / 2))
        track = Track(x * one, y * one, dice.normal(mess) * one, size * one, one, (depth + 0.01 * number) * one)
        actor = Actor(body, track, "fixture", "rest", shadow=shadow, camouflaged=wardrobe.ground is not None)
        actors.append(dataclasses.replace(actor, twins=columns * lines - 1, lag=dice.uniform(-20, 20)))
    return actors


def _slab(dice: Dice, backdrop: Backdrop) -> Body:
    """A board, a wall, a poster, a hill."""
    surface = stuff(dice, backdrop)
    if dice.chance(0.3):
        line = np.stack([np.linspace(-1, 1, 9), 0.35 * dice.array(9) - 0.4], -1)
        outline = Outline((np.concatenate([round_off(line, 1, closed=False), [(1, 0.8), (-1, 0.8)]]),))
    else:
        outline = draw_outline(dice, "angular")
    return build("slab", [Piece("", outline, surface)])


def cover(dice: Dice, backdrop: Backdrop, track: Track, when: int, event: str, speed: float) -> Actor:
    """What hides a star in frame `when`: something that passes by, or that it goes behind."""
    frames, size = len(track.x), float(track.size[when])
    where, depth = (float(track.x[when]), float(track.y[when])), dice.uniform(7, 9)
    blur = dice.choice((0.0, dice.uniform(3, 15)), (3, 1))
    radius = size * (dice.uniform(1.2, 2.4) if event == "passing" else dice.uniform(0.9, 1.4))
    wardrobe = draw_wardrobe(dice, backdrop.palette, backdrop.texture, radius)
    if event == "passing":
        body = dice.choice((plain.full, plain.full, made.carton, vehicles.car, plain.compound))(dice, wardrobe)
        passage = passing(dice, frames, when, where, max(dice.log_uniform(0.02, 0.1), speed), radius, depth)
        return Actor(body, passage, "cover", "passing", shadow=0.3 * dice.integer(0, 1), blur=blur)
    # A pole, a trunk or a wall, upright to its way.
    step_x, step_y = track.step(when)
    heading = math.atan2(step_y, step_x) + dice.normal(0.2) if math.hypot(step_x, step_y) > 1e-3 else dice.normal(0.2)
    high = 1.3 / radius
    ring = band(-1, -high, 1, high)
    if dice.chance(0.4):
        heights = np.linspace(-high, high, 12)
        ring = np.stack([np.tile([1.0], 12) - 0.5 * dice.array(12), heights], -1)
        ring = np.concatenate([ring, ring[::-1] * (-1, 1)])
    body = build("pole", [Piece("", Outline((ring,)), wardrobe.main(dice))])
    one = np.ones(frames)
    standing = Track(where[0] * one, where[1] * one, heading * one, radius * one, one, depth * one)
    return Actor(body, standing, "cover", "rest", blur=blur)
