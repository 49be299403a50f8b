# SPDX-License-Identifier: Apache-2.0
"""How things move: where they are in every frame, how large, how turned, how near.

In: draws, a start, a speed. Out: `Track`, with positions in picture sides: the picture is the square from 0 to 1.
"""

import dataclasses
import math

import numpy as np

from data.synthetic.affine import Affine, place
from data.synthetic.dice import Dice

KINDS = ("rest", "roam", "sway", "cross", "dash", "hop", "circle", "shuttle")


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """Where a thing is, one value for each of T frames.

    Attributes:
        x, y: (T,) picture sides.
        angle: (T,) radians.
        size: (T,) its radius, in picture sides.
        squeeze: (T,) how wide it appears, from -1, mirrored, to 1; as if it turned away.
        depth: (T,) what is higher lies in front.
    """

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    size: np.ndarray
    squeeze: np.ndarray
    depth: np.ndarray

    def pose(self, frame: int) -> Affine:
        """From the units of the body to picture sides."""
        size = float(self.size[frame])
        squeeze = float(self.squeeze[frame])
        return place(float(self.x[frame]), float(self.y[frame]), float(self.angle[frame]), size * squeeze, size)

    def shifted(self, x: np.ndarray, y: np.ndarray) -> "Track":
        return dataclasses.replace(self, x=self.x + x, y=self.y + y)

    def step(self, frame: int) -> tuple[float, float]:
        """How far it goes in a frame, at this one."""
        before, after = max(0, frame - 1), min(len(self.x) - 1, frame + 1)
        span = max(1, after - before)
        return float(self.x[after] - self.x[before]) / span, float(self.y[after] - self.y[before]) / span


def draw_track(
    dice: Dice, frames: int, kind: str, start: tuple[float, float], speed: float, radius: float, depth: float
) -> Track:
    """A track that is at `start` in frame 0, except for ``cross``, which is there some time.

    Args:
        kind: one of `KINDS`.
        speed: in picture sides a frame, when it moves.
    """
    x, y = _PATHS[kind](dice, frames, speed, start)
    still = kind == "rest"
    angle = np.full(frames, dice.normal(0.25) if dice.chance(0.6) else dice.angle())
    turning = dice.choice(("none", "sway", "spin"), (6, 1, 0.5) if still else (3, 4, 2))
    if turning == "sway":
        angle = angle + dice.uniform(0.1, 0.7) * dice.curve(frames, dice.log_uniform(8, 40))
    elif turning == "spin":
        angle = angle + dice.sign() * dice.log_uniform(0.01, 0.25) * np.arange(frames)
    size = np.full(frames, radius)
    if not still and dice.chance(0.5):
        size = size * np.exp(dice.uniform(0.05, 0.45) * dice.curve(frames, dice.log_uniform(15, 60)))
    squeeze = np.ones(frames)
    if dice.chance(0.3):
        squeeze = squeeze * dice.sign()
    if not still and dice.chance(0.2):
        turn = dice.angle() * 0.15 + dice.uniform(0.3, 1.2) * dice.curve(frames, dice.log_uniform(12, 50))
        squeeze = squeeze * np.clip(np.cos(turn), 0.12, 1)
    return Track(x, y, angle, size, squeeze, np.full(frames, depth))


def out_and_back(
    dice: Dice, track: Track, leave: int, back: int, speed: float, middle: tuple[np.ndarray, np.ndarray]
) -> Track:
    """The track with a way out of the picture, where it is from frame `leave` to `back`; `middle` is the picture's."""
    frames = len(track.x)
    here = min(leave, frames - 1)
    off_x, off_y = track.x[here] - middle[0][here], track.y[here] - middle[1][here]
    heading = math.atan2(off_y, off_x) + dice.normal(0.3)
    # To beyond the border, whichever way it goes.
    far = 0.55 / max(abs(math.cos(heading)), abs(math.sin(heading))) + 1.6 * float(track.size.max())
    ramp = min(max(2.0, far / speed), 10.0)
    time = np.arange(frames)
    away = np.clip(np.minimum((time - leave) / ramp + 1, (back - time) / ramp + 1), 0, 1)
    away = away * away * (3 - 2 * away)
    return track.shifted(far * away * math.cos(heading), far * away * math.sin(heading))


def passing(
    dice: Dice, frames: int, when: int, where: tuple[float, float], speed: float, size: float, depth: float
) -> Track:
    """A nearly straight track through `where` in frame `when`."""
    heading = dice.angle()
    way = speed * (np.arange(frames) - when)
    bow = 0.3 * dice.normal(1) * way * np.abs(way)
    x = where[0] + way * math.cos(heading) - bow * math.sin(heading)
    y = where[1] + way * math.sin(heading) + bow * math.cos(heading)
    spin = dice.choice((0.0, dice.normal(0.08)))
    angle = dice.angle() + spin * np.arange(frames)
    one = np.ones(frames)
    return Track(x, y, angle, size * one, one, depth * one)


def _rest(dice, frames, speed, start):
    return np.full(frames, start[0]), np.full(frames, start[1])


def _roam(dice, frames, speed, start):
    """Wanders, faster and slower, and turns back towards the middle near the border."""
    x, y, heading = start[0], start[1], dice.angle()
    haste = np.exp(0.7 * dice.curve(frames, 15)) * speed
    bend = 0.35 * dice.curve(frames, 10)
    path = np.empty((2, frames))
    for frame in range(frames):
        path[:, frame] = x, y
        if not (0.1 < x < 0.9 and 0.1 < y < 0.9):
            wanted = math.atan2(0.5 - y, 0.5 - x)
            heading += 0.35 * math.remainder(wanted - heading, 2 * math.pi)
        heading += bend[frame]
        x, y = x + haste[frame] * math.cos(heading), y + haste[frame] * math.sin(heading)
    return path


def _sway(dice, frames, speed, start):
    """To and fro about the start, along an ellipse."""
    reach = dice.uniform(0.05, 0.3)
    pace, phase, heading, flat = speed / reach, dice.angle(), dice.angle(), dice.uniform(0, 0.7)
    time = np.arange(frames)
    along = reach * (np.sin(pace * time + phase) - math.sin(phase))
    across = flat * reach * (np.cos(pace * time + phase) - math.cos(phase))
    return (
        start[0] + along * math.cos(heading) - across * math.sin(heading),
        start[1] + along * math.sin(heading) + across * math.cos(heading),
    )


def _cross(dice, frames, speed, start):
    """Straight through the picture, in it for a while."""
    when, heading = dice.uniform(0, frames), dice.angle()
    way = speed * (np.arange(frames) - when)
    return start[0] + way * math.cos(heading), start[1] + way * math.sin(heading)


def _dash(dice, frames, speed, start):
    """Stays, goes fast to another place, stays."""
    path, (x, y), frame = np.empty((2, frames)), start, 0
    while frame < frames:
        stay = dice.integer(1, 10)
        path[:, frame : frame + stay] = np.array([[x], [y]])
        frame += stay
        to_x, to_y = dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.9)
        count = max(2, round(math.hypot(to_x - x, to_y - y) / (1.5 * speed)))
        share = np.arange(1, count + 1) / count
        share = share * share * (3 - 2 * share)
        way = np.stack([x + share * (to_x - x), y + share * (to_y - y)])
        path[:, frame : frame + count] = way[:, : max(0, frames - frame)]
        x, y, frame = to_x, to_y, frame + count
    return path


def _hop(dice, frames, speed, start):
    """Bounces along a floor, turning back near the sides."""
    height, period = dice.uniform(0.08, 0.35), dice.log_uniform(5, 14)
    time = np.arange(frames)
    phase = (time / period + 0.5 + dice.uniform(0, 0.3)) % 1
    x = start[0] - 0.05 + dice.sign() * speed * time
    x = 0.05 + 0.9 * np.abs((x / 0.9 + 1) % 2 - 1)
    lift = 4 * phase * (1 - phase)
    return x + (start[0] - x[0]), start[1] - height * (lift - lift[0])


def _circle(dice, frames, speed, start):
    reach = dice.uniform(0.08, 0.3)
    turn = dice.angle() + dice.sign() * speed / reach * np.arange(frames)
    return start[0] + reach * (np.cos(turn) - np.cos(turn[0])), start[1] + reach * (np.sin(turn) - np.sin(turn[0]))


def _shuttle(dice, frames, speed, start):
    """Straight to and fro, beyond the borders."""
    heading, reach = dice.angle(), dice.uniform(0.5, 0.9)
    way = np.abs((speed * np.arange(frames) / reach + 1) % 2 - 1) - 1
    return start[0] + reach * way * math.cos(heading), start[1] + reach * way * math.sin(heading)


_PATHS = dict(rest=_rest, roam=_roam, sway=_sway, cross=_cross, dash=_dash, hop=_hop, circle=_circle, shuttle=_shuttle)
