# SPDX-License-Identifier: Apache-2.0
"""The camera: where it looks in every frame.

In: draws, then the number of a frame. Out: `Camera`, and its map from picture sides to pixels.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from data.synthetic.affine import Affine, place, then
from data.synthetic.dice import Dice

MOVES = {"still": 5, "handheld": 6, "pan": 4, "zoom": 2, "turn": 2, "wild": 2}  # with weights


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
    """Attributes:
    kind: one of `MOVES`.
    x, y: (T,) the place in its middle, in picture sides; 0.5 at first, but for shaking.
    zoom, angle: (T,) magnification, and radians.
    """

    kind: str
    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray
    angle: np.ndarray

    def view(self, frame: int, size: int) -> Affine:
        """From picture sides to pixels."""
        there = place(-float(self.x[frame]), -float(self.y[frame]))
        scale = float(self.zoom[frame]) * size
        return then(there, place(0.5 * size, 0.5 * size, float(self.angle[frame]), scale))

    def step(self, frame: int) -> tuple[float, float]:
        """How far the middle moves in a frame, in picture sides."""
        before, after = max(0, frame - 1), min(len(self.x) - 1, frame + 1)
        span = max(1, after - before)
        return float(self.x[after] - self.x[before]) / span, float(self.y[after] - self.y[before]) / span


def still_camera(frames: int) -> Camera:
    zero = np.zeros(frames)
    return Camera("still", zero + 0.5, zero + 0.5, zero + 1, zero)


def draw_camera(dice: Dice, frames: int, moves: Mapping[str, float] = MOVES) -> Camera:
    """Args:
    moves: which kinds, and how often each.
    """
    kind = dice.weighted(moves)
    time, zero = np.arange(frames), np.zeros(frames)
    x, y, zoom, angle = zero + 0.5, zero + 0.5, zero + 1, zero
    wild = kind == "wild"
    if kind in ("pan", "wild"):
        heading, speed = dice.angle(), dice.log_uniform(0.003, 0.04)
        way = speed * time if dice.chance(0.5) else 12 * speed * dice.curve(frames, 40, 2)
        x, y = x + (way - way[0]) * math.cos(heading), y + (way - way[0]) * math.sin(heading)
    if kind in ("zoom", "wild"):
        swell = dice.uniform(0.1, 0.5) * dice.curve(frames, dice.log_uniform(20, 60), 2)
        zoom = np.exp(swell - swell[0])
    if kind in ("turn", "wild"):
        turn = dice.uniform(0.1, 0.8) * dice.curve(frames, dice.log_uniform(20, 80), 2)
        angle = turn - turn[0]
    if kind in ("handheld", "wild") or dice.chance(0.2):
        shake = dice.log_uniform(0.002, 0.025) * (1.5 if wild else 1)
        x, y = x + shake * dice.curve(frames, 6, 4), y + shake * dice.curve(frames, 6, 4)
        angle = angle + 1.2 * shake * dice.curve(frames, 9)
    return Camera(kind, x, y, zoom, angle)
