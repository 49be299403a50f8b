# SPDX-License-Identifier: Apache-2.0
"""What happens in a scene: who appears, what crosses what, who leaves and comes back.

In: draws. Out: a `Scene` without objects, which `data.synthetic.casting` chooses.
"""

import dataclasses
import math

from data.synthetic import animals, made, people, plain, plants, vehicles
from data.synthetic.backdrops import Backdrop, draw_backdrop
from data.synthetic.camera import Camera, draw_camera, still_camera
from data.synthetic.dice import Dice
from data.synthetic.lens import draw_lens
from data.synthetic.motion import KINDS, Track, draw_track, out_and_back, passing
from data.synthetic.props import cover, fixture, rows
from data.synthetic.scenes import Actor, Bend, Scene
from data.synthetic.surfaces import draw_wardrobe

_BODIES = {
    plain.single: 9,
    plain.compound: 3,
    animals.animal: 2,
    people.person: 2,
    animals.fish: 1,
    animals.bird: 1,
    animals.snake: 1,
    people.hand: 1,
    plants.plant: 1,
    plants.tree: 1,
    vehicles.car: 2,
    vehicles.bicycle: 1,
    made.house: 1,
    made.carton: 2,
    made.coin: 1,
    made.fan: 1,
    made.vessel: 2,
    made.furniture: 1,
    made.tool: 1,
}
_MOTIONS = (2, 7, 3, 2, 2, 2, 2, 1)  # weights of `motion.KINDS`


def draw_video(dice: Dice, frames: int) -> Scene:
    """A few stars, their look-alikes, others, things that stand about, and what covers the stars for a while."""
    backdrop, camera, lens = draw_backdrop(dice), draw_camera(dice, frames), draw_lens(dice, frames)
    actors, pace = [], dice.log_uniform(0.002, 0.035)
    for _ in range(dice.choice((1, 2, 3, 4), (3, 4, 3, 2))):
        actors += _star(dice, backdrop, camera, frames, pace)
    for _ in range(dice.choice((0, 1, 2, 4), (3, 3, 2, 1))):
        actors.append(_extra(dice, backdrop, camera, frames, pace))
    for _ in range(dice.choice((0, 1, 2, 4), (3, 3, 2, 1))):
        actors.append(fixture(dice, backdrop, frames))
    if dice.chance(0.12):
        actors += rows(dice, backdrop, frames)
    return Scene(frames, backdrop, camera, lens, tuple(actors), ())


def draw_picture(dice: Dice) -> Scene:
    """Many things of all sizes, over and beside each other."""
    backdrop, lens = draw_backdrop(dice), draw_lens(dice, 1)
    camera, actors = still_camera(1), []
    for _ in range(dice.integer(1, 4)):
        actors += _star(dice, backdrop, camera, 1, 0.02)
    for _ in range(dice.integer(2, 8)):
        actors.append(_extra(dice, backdrop, camera, 1, 0.02))
    for _ in range(dice.integer(2, 7)):
        actors.append(fixture(dice, backdrop, 1))
    if dice.chance(0.35):
        actors += rows(dice, backdrop, 1)
    return Scene(1, backdrop, camera, lens, tuple(actors), ())


def _star(dice: Dice, backdrop: Backdrop, camera: Camera, frames: int, pace: float) -> list[Actor]:
    radius = dice.log_uniform(0.07, 0.46)
    wardrobe = draw_wardrobe(dice, backdrop.palette, backdrop.texture, radius)
    body = dice.weighted(_BODIES)(dice, wardrobe)
    motion = dice.choice(KINDS, _MOTIONS)
    speed = min(0.15, pace * dice.log_uniform(0.4, 3) * (2 if dice.chance(0.08) else 1))
    start = somewhere(dice, 0.5 - 0.5 * radius)
    track = draw_track(dice, frames, motion, start, speed, radius, dice.uniform(2, 6))
    if dice.chance(0.6):  # the camera goes with it
        track = track.shifted(camera.x - 0.5, camera.y - 0.5)
    bend = _bend(dice) if body.bends and dice.chance(0.6) else None
    shadow = dice.choice((0.0, dice.uniform(0.15, 0.6)), (3, 2))
    event, covers = "none", []
    if frames > 3:
        event = dice.choice(("none", "passing", "behind", "out"), (2, 5, 2, 5))
        if event == "behind" and (radius > 0.13 or motion == "rest"):  # it would hide half the picture, or nothing
            event = dice.choice(("passing", "out"))
        track, covers = happening(dice, event, backdrop, camera, track, speed)
    star = Actor(body, track, "star", motion, event, bend, shadow, camouflaged=wardrobe.ground is not None)
    group = [star]
    if dice.chance(0.35):
        count = dice.choice((1, 2, 3, 5), (4, 3, 2, 1))
        star = group[0] = dataclasses.replace(star, twins=count)
        group += [_twin(dice, star, frames, speed) for _ in range(count)]
    return group + covers


def happening(
    dice: Dice, event: str, backdrop: Backdrop, camera: Camera, track: Track, speed: float
) -> tuple[Track, list[Actor]]:
    """The track of a star as an event makes it, and what covers the star then.

    Args:
        event: ``none``, ``out``, ``passing`` or ``behind``.
    """
    frames = len(track.x)
    first = 0 if dice.chance(0.15) else max(1, frames // 6)
    when = dice.integer(first, max(first, round(0.65 * frames)))
    if event == "out":
        back = when + dice.integer(2, max(3, (frames - when) // 2))
        return out_and_back(dice, track, when, back, max(0.03, 3 * speed), (camera.x, camera.y)), []
    return track, [] if event == "none" else [cover(dice, backdrop, track, when, event, speed)]


def _twin(dice: Dice, star: Actor, frames: int, speed: float) -> Actor:
    """The same body elsewhere: of another size, turned, at another step of its walk, sometimes close by."""
    radius = float(star.track.size[0]) * dice.log_uniform(0.7, 1.3)
    motion = star.motion if dice.chance(0.5) else dice.choice(KINDS, _MOTIONS)
    if dice.chance(0.4):
        x, y = float(star.track.x[0]), float(star.track.y[0])
        angle = dice.angle()
        start = x + 2 * radius * math.cos(angle), y + 2 * radius * math.sin(angle)
    else:
        start = somewhere(dice, 0.5)
    if frames > 3 and dice.chance(0.25):  # it crosses the star's way
        when = dice.integer(1, frames - 2)
        where = float(star.track.x[when]), float(star.track.y[when])
        track = passing(dice, frames, when, where, max(speed, 0.015), radius, dice.uniform(2, 6))
        motion = "passing"
    else:
        track = draw_track(dice, frames, motion, start, speed, radius, dice.uniform(2, 6))
    lag = dice.uniform(-20, 20)
    return dataclasses.replace(star, track=track, role="twin", motion=motion, event="none", lag=lag)


def _extra(dice: Dice, backdrop: Backdrop, camera: Camera, frames: int, pace: float) -> Actor:
    """Something else that moves."""
    radius = dice.log_uniform(0.03, 0.2)
    wardrobe = draw_wardrobe(dice, backdrop.palette, backdrop.texture, radius)
    body = dice.weighted(_BODIES)(dice, wardrobe)
    motion = dice.choice(KINDS, _MOTIONS)
    speed = min(0.15, pace * dice.log_uniform(0.4, 3))
    track = draw_track(dice, frames, motion, somewhere(dice, 0.55), speed, radius, dice.uniform(1, 7))
    if dice.chance(0.4):
        track = track.shifted(camera.x - 0.5, camera.y - 0.5)
    bend = _bend(dice) if body.bends and dice.chance(0.4) else None
    return Actor(body, track, "extra", motion, bend=bend, shadow=dice.choice((0.0, dice.uniform(0.2, 0.6)), (2, 1)))


def somewhere(dice: Dice, reach: float) -> tuple[float, float]:
    """Somewhere in the picture, up to `reach` from its middle to the sides."""
    reach = max(reach, 0.2)
    return 0.5 + reach * dice.uniform(-1, 1), 0.5 + reach * dice.uniform(-1, 1)


def _bend(dice: Dice) -> Bend:
    waves = tuple((dice.uniform(1, 4), dice.log_uniform(0.01, 0.12), dice.angle()) for _ in range(2))
    return Bend(dice.log_uniform(0.05, 0.25), waves)
