# SPDX-License-Identifier: Apache-2.0
"""The grey patterns that all textures are made of: noises, cells, stripes, weaves, leaves. They repeat without a seam.

In: nothing; the patterns are always the same. Out: `Tile`, uint8 patterns and their smaller copies, by family. Made
once in a process, in about half a second.
"""

import dataclasses
import functools
import math
import threading

import cv2
import numpy as np

from data.synthetic.dice import Dice

SIDE = 384  # of a tile, in pixels
_LEVELS = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """A pattern that repeats every SIDE pixels, and its copies of half, a quarter, ... of the side.

    Attributes:
        levels: uint8; two periods along each axis, since reading across a border is slow.
    """

    levels: tuple[np.ndarray, ...]


_making = threading.Lock()


def tiles() -> dict[str, tuple[Tile, ...]]:
    """Tiles by family."""
    with _making:  # the first thread makes them, the others wait
        return _all_tiles()


@functools.cache
def _all_tiles() -> dict[str, tuple[Tile, ...]]:
    families = {
        "noise": [_noise(1, 1.0), _noise(2, 1.35), _noise(3, 1.35), _noise(4, 1.7), _noise(5, 1.0), _noise(6, 2.1)],
        "grain": [_noise(11, 1.2, stretch=5), _noise(12, 1.0, stretch=12), _noise(13, 1.5, stretch=8)],
        "veins": [_veins(21, 1.5), _veins(22, 1.9)],
        "spots": [_spots(31, 0.0, 8), _spots(32, 0.7, 14), _spots(33, 0.5, 26)],
        "cells": [_cells(41, 60), _cells(42, 400), _cracks(43, 120), _cracks(44, 500)],
        "leaves": [_leaves(51, 500, round=True), _leaves(52, 350, round=False), _leaves(53, 900, round=True)],
        "stripes": [_stripes(61, 8, 0.0), _stripes(62, 14, 0.05), _stripes(63, 6, 0.12), _stripes(64, 24, 0.02)],
        "checks": [_checks(71, 8), _checks(72, 16), _plaid(73), _plaid(74)],
        "dots": [_dots(81, 8, 0.3), _dots(82, 14, 0.2), _scales(83, 12)],
        "bricks": [_bricks(91, 8), _bricks(92, 14), _weave(93, 16)],
        "writing": [_writing(101, 16), _writing(102, 28)],
    }
    return {family: tuple(_tile(values) for values in patterns) for family, patterns in families.items()}


def _tile(values: np.ndarray) -> Tile:
    """Scales to mean 128 and a usual spread of 55, so that one table of colours suits every pattern."""
    values = (values - values.mean()) / (values.std() + 1e-9)
    levels = [np.clip(np.rint(128 + 55 * values), 0, 255).astype(np.uint8)]
    for _ in range(_LEVELS - 1):
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return Tile(tuple(np.tile(level, (2, 2)) for level in levels))


def _noise(seed: int, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Noise whose amplitude falls as frequency to the power of -slope: 1 is that of photographs."""
    spectrum = np.fft.rfft2(Dice(seed).array(SIDE, SIDE).astype(np.float32) - 0.5)
    y, x = np.fft.fftfreq(SIDE)[:, None] * SIDE, np.fft.rfftfreq(SIDE)[None] * SIDE
    frequency = np.hypot(x, y * stretch if stretch > 1 else y)
    frequency[0, 0] = 1
    weight = np.maximum(frequency, 2.0) ** -slope
    weight[0, 0] = 0
    values = np.fft.irfft2(spectrum * weight, s=(SIDE, SIDE)).astype(np.float32)
    return values / values.std()


def _veins(seed: int, slope: float) -> np.ndarray:
    return -np.sqrt(np.abs(_noise(seed, slope)))


def _spots(seed: int, threshold: float, detail: int) -> np.ndarray:
    """Blotches with fairly sharp edges; `detail` is about how many fit side by side."""
    spectrum = np.fft.rfft2(Dice(seed).array(SIDE, SIDE).astype(np.float32) - 0.5)
    y, x = np.fft.fftfreq(SIDE)[:, None] * SIDE, np.fft.rfftfreq(SIDE)[None] * SIDE
    values = np.fft.irfft2(spectrum * np.exp(-((np.hypot(x, y) / detail - 1) ** 2) * 6), s=(SIDE, SIDE))
    return np.tanh(6 * (values / values.std() - threshold)) + 0.15 * _noise(seed + 500, 1.2)


def _scatter(seed: int, count: int) -> np.ndarray:
    """(count, 2) points that keep some distance."""
    dice = Dice(seed)
    side = math.ceil(math.sqrt(count))
    y, x = np.divmod(np.arange(side * side), side)
    return (np.stack([x, y], -1) + dice.array(side * side, 2)) * SIDE / side


def _regions(seed: int, count: int) -> np.ndarray:
    """(SIDE, SIDE) int32 number of the nearest of the scattered points, across the seam too."""
    points = _scatter(seed, count).astype(int) % SIDE
    margin = SIDE // 4
    canvas = np.full((SIDE, SIDE), 255, np.uint8)
    canvas[points[:, 1], points[:, 0]] = 0
    owner = np.zeros((SIDE, SIDE), np.int32)
    owner[points[:, 1], points[:, 0]] = np.arange(len(points))
    wide, owners = np.pad(canvas, margin, mode="wrap"), np.pad(owner, margin, mode="wrap")
    _, labels = cv2.distanceTransformWithLabels(wide, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(labels.max() + 1, np.int32)
    of_label[labels[wide == 0]] = owners[wide == 0]
    return of_label[labels][margin:-margin, margin:-margin]


def _cells(seed: int, count: int) -> np.ndarray:
    regions = _regions(seed, count)
    values = Dice(seed + 500).array(regions.max() + 1)[regions].astype(np.float32)
    return cv2.GaussianBlur(values, (0, 0), 0.7) + 0.04 * _noise(seed + 500, 1.0)


def _cracks(seed: int, count: int) -> np.ndarray:
    regions = _regions(seed, count)
    edges = (regions != np.roll(regions, 1, 0)) | (regions != np.roll(regions, 1, 1))
    joints = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 1.5)
    shade = Dice(seed + 500).array(regions.max() + 1)[regions]
    return -3 * joints + 0.8 * shade + 0.12 * _noise(seed + 500, 1.0)


def _leaves(seed: int, count: int, round: bool) -> np.ndarray:
    """Shapes over shapes, few large and many small ones: edges as dense as those of photographs."""
    dice = Dice(seed)
    canvas = np.full((SIDE, SIDE), 0.5, np.float32)
    for rank in range(count):
        radius = SIDE * 0.25 / math.sqrt(1 + 0.35 * rank) * dice.uniform(0.7, 1.4)
        corners = 14 if round else dice.integer(3, 6)
        angles = (np.arange(corners) + dice.array(corners) * 0.7) * 2 * math.pi / corners
        turn, squeeze = dice.angle(), dice.uniform(0.4, 1)
        x, y = radius * np.cos(angles), radius * squeeze * np.sin(angles)
        points = np.stack([x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], -1)
        center, value = dice.array(2) * SIDE, dice.uniform()
        for shift_y in (-SIDE, 0, SIDE):
            for shift_x in (-SIDE, 0, SIDE):
                x, y = center[0] + shift_x, center[1] + shift_y
                if min(x, y) > -radius and max(x, y) < SIDE + radius:
                    whole = np.rint(np.add(points, (x, y))).astype(np.int32)
                    cv2.fillConvexPoly(canvas, cv2.convexHull(whole), value, cv2.LINE_AA)
    return cv2.GaussianBlur(canvas, (0, 0), 0.6) + 0.05 * _noise(seed + 500, 1.0)


def _grid(seed: int, bend: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y (SIDE, SIDE) in 0..1, bent by `bend` of the side."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    if bend:
        x, y = x + bend * _noise(seed + 600, 2.2) / 3, y + bend * _noise(seed + 700, 2.2) / 3
    return x, y


def _soft(values: np.ndarray, sharpness: float = 4) -> np.ndarray:
    return np.tanh(sharpness * values)


def _stripes(seed: int, count: int, bend: float) -> np.ndarray:
    x, _ = _grid(seed, bend)
    return _soft(np.sin(2 * math.pi * count * x), Dice(seed).uniform(1, 6)) + 0.1 * _noise(seed + 500, 1.0)


def _checks(seed: int, count: int) -> np.ndarray:
    x, y = _grid(seed, 0.01)
    waves = np.sin(2 * math.pi * count / 2 * x) * np.sin(2 * math.pi * count / 2 * y)
    return _soft(waves, 10) + 0.08 * _noise(seed + 500, 1.0)


def _plaid(seed: int) -> np.ndarray:
    x, y = _grid(seed, 0.0)
    dice, total = Dice(seed), 0.0
    for axis in (x, y):
        for _ in range(3):
            turns, width = dice.integer(4, 10), dice.uniform(-0.4, 0.9)
            total = total + dice.uniform(0.3, 1) * _soft(np.sin(2 * math.pi * turns * axis + dice.angle()) - width, 8)
    return total + 0.2 * _noise(seed + 500, 1.0)


def _dots(seed: int, count: int, radius: float) -> np.ndarray:
    x, y = _grid(seed, 0.01)
    row = np.floor(y * count)
    across, along = (x * count + 0.5 * (row % 2)) % 1 - 0.5, y * count % 1 - 0.5
    return _soft(np.hypot(across, along) - radius, 12) + 0.08 * _noise(seed + 500, 1.0)


def _scales(seed: int, count: int) -> np.ndarray:
    x, y = _grid(seed, 0.01)
    row = np.floor(y * count)
    across, along = (x * count + 0.5 * (row % 2)) % 1 - 0.5, y * count % 1
    return np.minimum(1, np.hypot(across, along * 0.8) * 1.3) ** 3 + 0.08 * _noise(seed + 500, 1.0)


def _bricks(seed: int, count: int) -> np.ndarray:
    x, y = _grid(seed, 0.004)
    row = np.floor(y * count).astype(int) % count
    across = x * (count // 2) + 0.5 * (row % 2)
    shade = Dice(seed).array(count, count)[row, np.floor(across).astype(int) % (count // 2)]
    gap = np.minimum(np.minimum(across % 1, 1 - across % 1) * 2, np.minimum(y * count % 1, 1 - y * count % 1))
    return _soft(gap - 0.08, 14) + 0.7 * shade + 0.15 * _noise(seed + 500, 1.0)


def _weave(seed: int, count: int) -> np.ndarray:
    x, y = _grid(seed, 0.005)
    over = np.sin(math.pi * count * x) * np.sin(math.pi * count * y) > 0
    return np.where(over, np.abs(np.sin(math.pi * count * x)), np.abs(np.sin(math.pi * count * y))) + 0.1 * _noise(
        seed + 500, 1.0
    )


def _writing(seed: int, lines: int) -> np.ndarray:
    """Rows of short strokes, like print."""
    dice = Dice(seed)
    canvas = np.ones((SIDE, SIDE), np.float32)
    height = SIDE / lines
    for line in range(lines):
        x = dice.uniform(0, 4) * height
        while x < SIDE - height and not dice.chance(0.03):
            if dice.chance(0.82):
                top, bottom = (line + 0.25) * height, (line + 0.75) * height
                points = [(x + dice.uniform(0, 0.45) * height, dice.uniform(top, bottom)) for _ in range(4)]
                cv2.polylines(canvas, [np.array(points).astype(np.int32)], False, 0.0, max(1, int(height / 12)), 16)
            x += 0.55 * height
    return canvas + 0.05 * _noise(seed + 500, 1.0)
