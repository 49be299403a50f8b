# SPDX-License-Identifier: Apache-2.0
"""What happens to the light between a scene and the file: exposure, shadow, blur, noise, compression.

In: draws, then a picture and the number of its frame. Out: `Lens`, and uint8 (H, W, 3) RGB.
"""

import dataclasses
import functools
import math

import cv2
import numpy as np

from data.synthetic.dice import Dice


@dataclasses.dataclass(frozen=True, eq=False)
class Lens:
    """What happens to the light between the scene and the file.

    Attributes:
        shutter: the share of a frame for which it is open: motion blur.
        gain, gamma: (T,) exposure and curve.
        contrast: how much darks are darker and lights lighter, and `tint` (3,) the colour of the light.
        haze: how much of a pale veil lies over all, 0 to 1.
        shade: strength of a large soft shadow that drifts, 0 for none, and `shade_path` (T, 3) its place and angle.
        vignette: how much darker the corners are.
        blur: (T,) Gaussian blur in thousandths of the picture's side.
        coarse: the resolution that is left, as a share of the picture's.
        noise: standard deviation of the sensor's noise in grey levels, and `noise_place` (T, 2) where in it.
        sharpening: how much edges are exaggerated, as telephones do.
        quality: of JPEG, 0 for no compression.
    """

    shutter: float
    gain: np.ndarray
    gamma: np.ndarray
    contrast: float
    tint: tuple[float, float, float]
    haze: float
    shade: float
    shade_path: np.ndarray
    vignette: float
    blur: np.ndarray
    coarse: float
    noise: float
    noise_place: np.ndarray
    sharpening: float
    quality: int


def draw_lens(dice: Dice, frames: int) -> Lens:
    gain = np.full(frames, math.exp(0.05 + dice.normal(0.1)))
    gamma = np.full(frames, math.exp(dice.normal(0.12)))
    if dice.chance(0.35):
        gain = gain * np.exp(dice.uniform(0.05, 0.4) * dice.curve(frames, dice.log_uniform(8, 60)))
    if dice.chance(0.12):
        gain = gain * (1 + dice.uniform(0.02, 0.12) * (2 * dice.array(frames) - 1))
    warm = dice.normal(0.07)
    blur = np.zeros(frames)
    if dice.chance(0.25):
        blur = blur + dice.log_uniform(1, 5)
    if dice.chance(0.08):
        blur = blur + dice.uniform(3, 8) * np.clip(dice.curve(frames, 16), 0, 1)
    path = np.stack(
        [
            dice.uniform() + 0.6 * dice.curve(frames, 40),
            dice.uniform() + 0.6 * dice.curve(frames, 40),
            dice.angle() + 0.5 * dice.curve(frames, 60),
        ],
        -1,
    )
    return Lens(
        shutter=dice.choice((0.0, dice.uniform(0.2, 0.9)), (2, 3)),
        gain=gain,
        gamma=gamma,
        contrast=dice.log_uniform(0.85, 1.35),
        tint=(1 + warm, 1 + dice.normal(0.02), 1 - warm),
        haze=dice.choice((0.0, dice.uniform(0.05, 0.4)), (8, 1)),
        shade=dice.choice((0.0, dice.uniform(0.2, 0.5)), (2, 1)),
        shade_path=path,
        vignette=dice.choice((0.0, dice.uniform(0.1, 0.5)), (2, 1)),
        blur=blur,
        coarse=dice.choice((1.0, dice.uniform(0.5, 0.9)), (5, 1)),
        noise=dice.choice((dice.log_uniform(0.5, 3), dice.log_uniform(3, 14)), (3, 1)),
        noise_place=dice.array(frames, 2),
        sharpening=dice.choice((0.0, dice.uniform(0.3, 1.5))),
        quality=dice.choice((0, dice.integer(25, 95)), (1, 1)),
    )


def develop(lens: Lens, picture: np.ndarray, frame: int) -> np.ndarray:
    """What the file shows of a scene, uint8 (H, W, 3) RGB."""
    size = picture.shape[0]
    if lens.shade or lens.vignette:
        picture = cv2.multiply(picture, cv2.cvtColor(_light(lens, frame, size), cv2.COLOR_GRAY2RGB), scale=1 / 255)
    sigma = float(lens.blur[frame]) * size / 1000
    if sigma > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    picture = cv2.LUT(picture, _curve(lens, frame))
    if lens.coarse < 1:
        small = cv2.resize(picture, None, fx=lens.coarse, fy=lens.coarse, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    top, left = (lens.noise_place[frame] * _FILM).astype(int)
    if lens.noise > 0.6:
        grain = _film(size)[top : top + size, left : left + size]
        picture = cv2.addWeighted(picture, 1, grain, lens.noise / 32, -128 * lens.noise / 32)
    if lens.sharpening:
        picture = cv2.addWeighted(picture, 1 + lens.sharpening, cv2.blur(picture, (3, 3)), -lens.sharpening, 0)
    if lens.quality:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, file = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, lens.quality))
        picture = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return picture


def smear(picture: np.ndarray, x: float, y: float, longest: float) -> np.ndarray:
    """Moves a picture of any channels while the shutter is open, by (x, y) pixels in all, about its place.

    Args:
        longest: more pixels than these are not gone.
    """
    length = math.hypot(x, y)
    if length < 1.2:
        return picture
    if length > longest:
        x, y = x * longest / length, y * longest / length
    half_x, half_y = math.ceil(abs(x) / 2), math.ceil(abs(y) / 2)
    line = np.zeros((2 * half_y + 1, 2 * half_x + 1), np.uint8)
    start = round(16 * (half_x - x / 2)), round(16 * (half_y - y / 2))
    end = round(16 * (half_x + x / 2)), round(16 * (half_y + y / 2))
    cv2.line(line, start, end, 255, 1, cv2.LINE_AA, 4)
    kernel = line.astype(np.float32) / line.sum()
    return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)


_FILM = 64  # the film of noise is so many pixels larger than the picture


@functools.lru_cache(maxsize=4)
def _film(size: int) -> np.ndarray:
    """uint8 (size + 64, size + 64, 3) noise about 128, of standard deviation 32, alike in neighbours, mostly grey."""
    dice = Dice(size)
    noise = dice.array(size + _FILM, size + _FILM, 3) + dice.array(size + _FILM, size + _FILM, 3) - 1
    noise = noise + 1.2 * noise[..., :1]
    noise = cv2.GaussianBlur(noise, (0, 0), 0.5)
    return np.clip(np.rint(128 + 32 * noise / noise.std()), 0, 255).astype(np.uint8)


def _light(lens: Lens, frame: int, size: int) -> np.ndarray:
    """uint8 (size, size) share of the light that arrives, of 255."""
    grid = (np.arange(32) + 0.5) / 32
    x, y = grid[None], grid[:, None]
    light = np.ones((32, 32))
    if lens.shade:
        place_x, place_y, angle = lens.shade_path[frame]
        away = (x - place_x) * math.cos(angle) + (y - place_y) * math.sin(angle)
        light = 1 - lens.shade / (1 + np.exp(-12 * (np.abs(away) - 0.25)))
    if lens.vignette:
        light = light * (1 - lens.vignette * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    return cv2.resize(np.rint(255 * light).astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)


def _curve(lens: Lens, frame: int) -> np.ndarray:
    levels = np.linspace(0, 1, 256)[:, None] ** lens.gamma[frame]
    levels = levels * (lens.gain[frame] * np.array(lens.tint))
    levels = 0.4 + lens.contrast * (levels - 0.4)
    levels = levels * (1 - lens.haze) + 0.8 * lens.haze
    return np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)[:, None]
