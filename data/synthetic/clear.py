# SPDX-License-Identifier: Apache-2.0
"""Scenes that are easy to see: a few large things that stand out from a calm ground, and seldom vanish.

In: draws. Out: a `Scene` without objects, as of `data.synthetic.plots`. A small model begins with these.
"""

import math

from data.synthetic import animals, made, people, plain, vehicles
from data.synthetic.backdrops import Backdrop, draw_backdrop
from data.synthetic.bodies import Body
from data.synthetic.camera import Camera, draw_camera, still_camera
from data.synthetic.colors import Color, draw_palette, lab
from data.synthetic.dice import Dice
from data.synthetic.lens import draw_lens
from data.synthetic.motion import draw_track
from data.synthetic.plots import happening, somewhere
from data.synthetic.scenes import Actor, Scene
from data.synthetic.surfaces import Wardrobe

SMALLEST = 0.015  # share of the picture that an object covers at first
_CALM = {"plain": 3, "pattern": 2, "room": 2, "landscape": 2, "blurred": 1}
_STEADY = {"still": 4, "handheld": 2, "pan": 1}
_BODIES = {
    plain.full: 6,
    plain.single: 2,
    plain.compound: 2,
    animals.animal: 1,
    animals.fish: 1,
    vehicles.car: 1,
    made.carton: 1,
    made.vessel: 1,
    made.coin: 1,
    people.person: 1,
}
_MOTIONS = {"rest": 1, "roam": 5, "sway": 3, "hop": 1, "circle": 2}
_EVENTS = {"none": 5, "passing": 1, "out": 1}


def draw_clear_video(dice: Dice, frames: int) -> Scene:
    """Two to four things that move, some of which go out of sight and come back."""
    backdrop, lens = draw_backdrop(dice, _CALM), draw_lens(dice, frames)
    camera = draw_camera(dice, frames, _STEADY)
    pace = dice.log_uniform(0.004, 0.03)
    actors = []
    for _ in range(dice.choice((2, 3, 4), (2, 3, 1))):
        actors += _thing(dice, backdrop, camera, frames, pace)
    return Scene(frames, backdrop, camera, lens, tuple(actors), ())


def draw_clear_picture(dice: Dice) -> Scene:
    """Three to eight things."""
    backdrop, lens, camera = draw_backdrop(dice, _CALM), draw_lens(dice, 1), still_camera(1)
    actors = []
    for _ in range(dice.integer(3, 8)):
        actors += _thing(dice, backdrop, camera, 1, 0.02)
    return Scene(1, backdrop, camera, lens, tuple(actors), ())


def _thing(dice: Dice, backdrop: Backdrop, camera: Camera, frames: int, pace: float) -> list[Actor]:
    """It, and what hides it for a while."""
    radius = dice.log_uniform(0.1, 0.3)
    # Of a few draws, the one that stands out most.
    body = max((_body(dice) for _ in range(3)), key=lambda body: _contrast(body, backdrop))
    motion = dice.weighted(_MOTIONS)
    speed = pace * dice.log_uniform(0.5, 2)
    track = draw_track(dice, frames, motion, somewhere(dice, 0.38), speed, radius, dice.uniform(2, 6))
    event, covers = "none", []
    if frames > 3:
        event = dice.weighted(_EVENTS)
        track, covers = happening(dice, event, backdrop, camera, track, speed)
    shadow = dice.choice((0.0, dice.uniform(0.15, 0.6)), (3, 2))
    return [Actor(body, track, "star", motion, event, shadow=shadow), *covers]


def _body(dice: Dice) -> Body:
    return dice.weighted(_BODIES)(dice, Wardrobe(draw_palette(dice)))


def _contrast(body: Body, backdrop: Backdrop) -> float:
    """How far, in the units of Lab, the colour of a body's pieces is from those behind it, where it is nearest."""
    grounds = [backdrop.texture, *([backdrop.floor[0]] if backdrop.floor else [])]
    return min(
        math.dist(lab(_middle(piece.surface.texture.stops)), lab(_middle(ground.stops)))
        for piece in body.pieces
        for ground in grounds
    )


def _middle(stops: tuple[Color, ...]) -> Color:
    return stops[len(stops) // 2]
