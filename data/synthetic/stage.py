# SPDX-License-Identifier: Apache-2.0
"""A scene on stage: everything painted once, then any frame laid together from it.

In: a `Scene` and the side of the picture in pixels. Out: frames, uint8 (S, S, 3) RGB, and masks, bool (O, S, S). A
frame depends on no other.

What covers what is counted from front to back, in 255ths of a pixel; a pixel belongs to an object where at least half
of it shows the object in the middle of the exposure. Pictures are painted from back to front.
"""

import dataclasses
import math

import cv2
import numpy as np

from data.synthetic.affine import Affine, area_scale, bounds, inverse, place, then
from data.synthetic.backdrops import margin, paint_backdrop
from data.synthetic.bodies import poses
from data.synthetic.lens import develop, smear
from data.synthetic.scenes import Actor, Bend, Scene
from data.synthetic.sprites import Sprite, level_for, paint_piece

_GRID = 8  # bends are computed for every eighth pixel
_LARGEST = 0.6  # sprites are painted for bodies of at most this radius, in picture sides; larger ones are magnified
_SMEAR = 0.06  # longest motion blur, in picture sides
_FLUTTER = (9.0, 0.05, 0.0), (14.0, 0.03, 1.0)  # waves of a backdrop
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclasses.dataclass(frozen=True, eq=False)
class _Laid:
    """A piece where it is in a frame: its window, RGBA in it, and whose it is."""

    rows: slice
    columns: slice
    rgba: np.ndarray
    light: float
    actor: Actor


class Stage:
    """All that is painted once for a scene. May be used by several threads."""

    def __init__(self, scene: Scene, size: int, colors: bool = True):
        """Args:
        size: S, pixels.
        colors: False for masks alone, which take less.
        """
        self._scene, self._size = scene, size
        owners: dict[tuple[int, int], list[tuple[int, int | None]]] = {}
        for number, object_ in enumerate(scene.objects):
            part = scene.part(object_)
            for piece in part.pieces:
                owners.setdefault((object_.actor, piece), []).append((number, part.patch))
        self._owners = owners
        self._sprites = self._paint_bodies(colors)
        self._ground = paint_backdrop(scene.backdrop, size) if colors else None

    def masks(self, frame: int) -> np.ndarray:
        """(O, S, S) bool of a frame."""
        return self._lay_all(frame, colors=False)[0] >= 128

    def shares(self, frame: int) -> np.ndarray:
        """(O,) the share of the picture in which each object is seen, parts of pixels counted too."""
        seen, _ = self._lay_all(frame, colors=False)
        return seen.reshape(len(seen), -1).sum(1, dtype=np.int64) / (255 * self._size**2)

    def render(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """A frame (S, S, 3) and its masks (O, S, S). Not for a stage without colours."""
        seen, shown = self._lay_all(frame, colors=True)
        picture = self._lay_ground(self._scene.camera.view(frame, self._size), frame)
        for laid in reversed(shown):
            if isinstance(laid, _Laid):
                self._paint(picture, laid, *self._step(frame, laid.actor))
            else:
                self._darken(picture, *laid)
        return develop(self._scene.lens, picture, frame), seen >= 128

    def _lay_all(self, frame: int, colors: bool) -> tuple[np.ndarray, list]:
        """What is seen of each object, (O, S, S) in 255ths; and what is to be painted, from front to back."""
        scene, size = self._scene, self._size
        view = scene.camera.view(frame, size)
        free = np.full((size, size), 255, np.uint8)
        seen = np.zeros((len(scene.objects), size, size), np.uint8)
        shown: list[_Laid | tuple[Actor, np.ndarray]] = []
        for number in sorted(range(len(scene.actors)), key=lambda n: -scene.actors[n].track.depth[frame]):
            actor = scene.actors[number]
            pose = then(actor.track.pose(frame), view)
            step = self._step(frame, actor)
            shape = np.zeros_like(free) if actor.shadow and colors else None
            for index, found in enumerate(poses(actor.body, frame + actor.lag)):
                sprite = self._sprites[id(actor.body), index]
                laid = found and self._lay(sprite, actor, then(found[0], pose), frame, math.hypot(*step), colors)
                if not laid:
                    continue
                rows, columns, layers, patches = laid
                covered = cv2.extractChannel(layers, 3) if colors else layers
                before = free[rows, columns]
                visible = cv2.multiply(before, covered, scale=1 / 255)
                for owner, patch in self._owners.get((number, index), ()):
                    area = seen[owner, rows, columns]
                    own = visible if patch is None else cv2.multiply(before, patches[patch], scale=1 / 255)
                    cv2.add(area, own, area)
                cv2.subtract(before, visible, before)
                if colors and (step != (0.0, 0.0) or cv2.hasNonZero(visible)):
                    shown.append(_Laid(rows, columns, layers, found[1], actor))
                    if shape is not None:
                        cv2.max(shape[rows, columns], covered, shape[rows, columns])
            if shape is not None:
                shown.append((actor, shape))
        return seen, shown

    def _paint_bodies(self, colors: bool) -> dict[tuple[int, int], Sprite]:
        """By body and piece; bodies that several actors share are painted once, for the largest of them."""
        radii: dict[int, float] = {}
        wanted: dict[tuple[int, int], set[int]] = {}
        for number, actor in enumerate(self._scene.actors):
            radius = float((np.abs(actor.track.size) * self._scene.camera.zoom).max())
            radii[id(actor.body)] = max(radii.get(id(actor.body), 0), min(radius, _LARGEST))
            for index in range(len(actor.body.pieces)):
                patches = {patch for _, patch in self._owners.get((number, index), ()) if patch is not None}
                wanted.setdefault((id(actor.body), index), set()).update(patches)
        sprites = {}
        for body in {id(actor.body): actor.body for actor in self._scene.actors}.values():
            for index, piece in enumerate(body.pieces):
                scale, parent = math.sqrt(area_scale(piece.rest)), piece.parent
                while parent >= 0:
                    scale, parent = scale * math.sqrt(area_scale(body.pieces[parent].rest)), body.pieces[parent].parent
                if piece.facing is not None:
                    scale = max(math.hypot(*piece.facing[3:6]), math.hypot(*piece.facing[6:]))
                pixels = max(scale * radii[id(body)] * self._size, 0.5)
                patches = frozenset(wanted[id(body), index])
                sprites[id(body), index] = paint_piece(piece, pixels, patches, colors)
        return sprites

    def _step(self, frame: int, actor: Actor | None = None) -> tuple[float, float]:
        """How far an actor, or the backdrop, moves in the picture while the shutter is open, in pixels."""
        lens, camera = self._scene.lens, self._scene.camera
        if not lens.shutter:
            return 0.0, 0.0
        x, y = actor.track.step(frame) if actor else (0.0, 0.0)
        camera_x, camera_y = camera.step(frame)
        scale = lens.shutter * self._size * float(camera.zoom[frame])
        return (x - camera_x) * scale, (y - camera_y) * scale

    def _lay(self, sprite: Sprite, actor: Actor, pose: Affine, frame: int, smeared: float, colors: bool):
        """A sprite in its window of the frame: rows, columns, RGBA or coverage (h, w), coverage of its patches."""
        size, stretch = self._size, math.sqrt(area_scale(pose))
        left, top, right, bottom = bounds(pose, *sprite.box)
        if min(right - left, bottom - top) < 0.05:
            return None
        margin = 1.5 + 0.5 * min(smeared, _SMEAR * size) + 0.003 * actor.blur * size
        if actor.bend is not None:
            margin += actor.bend.reach * (abs(pose[0]) + abs(pose[1]) + abs(pose[3]) + abs(pose[4]))
        left, top = max(0, math.floor(left - margin)), max(0, math.floor(top - margin))
        width, height = min(size, math.ceil(right + margin)) - left, min(size, math.ceil(bottom + margin)) - top
        if width <= 0 or height <= 0:
            return None
        level = level_for(sprite, sprite.to_pixels[0] / stretch)
        to_units = then(place(left + 0.5, top + 0.5), inverse(pose))
        to_source = then(then(sprite.to_pixels, place(0, 0, 0, 0.5**level)), place(-0.5, -0.5))
        edge = cv2.BORDER_REPLICATE
        if actor.bend is not None:
            where = _bent(actor.bend, frame + actor.lag, to_units, to_source, height, width)
        else:
            where = np.array(then(to_units, to_source)).reshape(2, 3)

        def read(picture: np.ndarray) -> np.ndarray:
            if actor.bend is not None:
                return cv2.remap(picture, where, None, cv2.INTER_LINEAR, borderMode=edge)
            return cv2.warpAffine(picture, where, (width, height), flags=_LINEAR, borderMode=edge)

        layers = read((sprite.colors if colors else sprite.cover).level(level))
        patches = {number: read(cover.level(level)) for number, cover in sprite.patches.items()}
        return slice(top, top + height), slice(left, left + width), layers, patches

    def _paint(self, picture: np.ndarray, laid: _Laid, step_x: float, step_y: float) -> None:
        rgba = smear(laid.rgba, step_x, step_y, _SMEAR * self._size)
        radius = round(laid.actor.blur * self._size / 1000)
        if radius:
            rgba = cv2.blur(rgba, (2 * radius + 1, 2 * radius + 1))
        weight = cv2.extractChannel(rgba, 3).astype(np.float32) * np.float32(1 / 255)
        colors = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
        if laid.light != 1:
            colors = cv2.convertScaleAbs(colors, alpha=laid.light)
        window = picture[laid.rows, laid.columns]
        cv2.blendLinear(colors, window, weight, 1 - weight, window)

    def _darken(self, picture: np.ndarray, actor: Actor, shape: np.ndarray) -> None:
        """The soft shadow that an actor casts to the lower right, on whatever lies behind it."""
        side = max(1, self._size // 4)
        small = cv2.resize(shape, (side, side), interpolation=cv2.INTER_AREA)
        shift = max(1.0, 0.12 * float(actor.track.size[0]) * side)
        small = cv2.warpAffine(small, np.array([[1, 0, 0.7 * shift], [0, 1, shift]]), (side, side))
        width = 2 * math.ceil(0.7 * shift) + 1
        light = cv2.convertScaleAbs(cv2.blur(small, (width, width)), alpha=-actor.shadow, beta=255)
        light = cv2.resize(light, (self._size, self._size), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(picture, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), picture, scale=1 / 255)

    def _lay_ground(self, view: Affine, frame: int) -> np.ndarray:
        size, backdrop, edge = self._size, self._scene.backdrop, margin(self._size)
        if view == (size, 0, 0, 0, size, 0) and not backdrop.wave:
            picture = self._ground[edge : edge + size, edge : edge + size].copy()
            return smear(picture, *self._step(frame), _SMEAR * size)
        to_sides = then(place(0.5, 0.5), inverse(view))
        to_source = place(edge - 0.5, edge - 0.5, 0, size)
        if backdrop.wave:
            where = _bent(Bend(backdrop.wave, _FLUTTER), frame, to_sides, to_source, size, size)
            picture = cv2.remap(self._ground, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        else:
            matrix, mirror = np.array(then(to_sides, to_source)).reshape(2, 3), cv2.BORDER_REFLECT_101
            picture = cv2.warpAffine(self._ground, matrix, (size, size), flags=_LINEAR, borderMode=mirror)
        return smear(picture, *self._step(frame), _SMEAR * size)


def _bent(bend: Bend, time: float, to_units: Affine, to_source: Affine, height: int, width: int) -> np.ndarray:
    """float32 (height, width, 2) where to read for each pixel; exact at every eighth, straight between."""
    columns = _GRID * np.arange(-1, width // _GRID + 2) + (_GRID - 1) / 2
    rows = _GRID * np.arange(-1, height // _GRID + 2)[:, None] + (_GRID - 1) / 2
    a, b, c, d, e, f = to_units
    x, y = bend.at(a * columns + b * rows + c, d * columns + e * rows + f, time)
    a, b, c, d, e, f = to_source
    coarse = np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1).astype(np.float32)
    fine = cv2.resize(coarse, None, fx=_GRID, fy=_GRID, interpolation=cv2.INTER_LINEAR)
    return fine[_GRID : _GRID + height, _GRID : _GRID + width]
