# SPDX-License-Identifier: Apache-2.0
"""Bodies: pieces on joints that swing or turn, patches painted on them, and which of these are parts with a name.

In: what a kind of thing is built of. Out: `Body`, and where its pieces are at a time. The units are the body's own, in
which it fills about the square from -1 to 1.
"""

import dataclasses
import math

from data.synthetic.affine import Affine, place, then
from data.synthetic.outlines import Outline, closed
from data.synthetic.surfaces import Surface


@dataclasses.dataclass(frozen=True, eq=False)
class Patch:
    """An area painted on a piece; what hangs over its edge is cut off. Its outline is in the piece's units."""

    name: str
    outline: Outline
    surface: Surface


@dataclasses.dataclass(frozen=True)
class Swing:
    """A turn to and fro: `reach` radians to either side, once in `period` frames, shifted by `phase` of a period."""

    reach: float
    period: float
    phase: float


@dataclasses.dataclass(frozen=True, eq=False)
class Piece:
    """A rigid piece of a body.

    Attributes:
        parent: the number of the piece it hangs on, or -1 for the body itself.
        rest: from its units to the parent's, where it does not move.
        swing: about its own origin.
        spin: about the same, so many radians in a frame.
        facing: the side of a solid: its centre, right and down as points in space, nine numbers; `rest` is not used.
    """

    name: str
    outline: Outline
    surface: Surface
    patches: tuple[Patch, ...] = ()
    parent: int = -1
    rest: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    swing: Swing | None = None
    spin: float = 0.0
    facing: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Part:
    """What may be an object: some pieces of a body, or one patch on one of them."""

    name: str
    pieces: tuple[int, ...]
    patch: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
    """Attributes:
    kind: what it is, such as ``car``.
    pieces: from front to back; a piece may hang on any other.
    parts: the first is the whole.
    roll: radians by which a solid turns in a frame, and `tilt` those by which its axis leans towards the camera.
    bends: whether it may be bent like cloth; bodies of several pieces would come apart.
    """

    kind: str
    pieces: tuple[Piece, ...]
    parts: tuple[Part, ...]
    roll: float = 0.0
    tilt: float = -0.5
    bends: bool = False


def build(kind: str, pieces: list[Piece], joined: dict[str, tuple[str, ...]] | None = None, **solid: float) -> Body:
    """A body whose parts are its pieces and patches, by their names, beside the whole.

    Args:
        pieces: from front to back. Pieces or patches without a name are not parts of their own.
        joined: parts of several pieces, by name, as prefixes of the names of the pieces.
        solid: `roll` and `tilt` of `Body`.
    """
    parts = [Part("whole", tuple(range(len(pieces))))]
    for name, prefixes in (joined or {}).items():
        parts.append(Part(name, tuple(i for i, piece in enumerate(pieces) if piece.name.startswith(prefixes))))
    for index, piece in enumerate(pieces):
        if piece.name and len(pieces) > 1:
            parts.append(Part(piece.name, (index,)))
        parts += [Part(patch.name, (index,), number) for number, patch in enumerate(piece.patches) if patch.name]
    bends = len(pieces) == 1 and pieces[0].facing is None
    return Body(kind, tuple(pieces), tuple(part for part in parts if part.pieces), bends=bends, **solid)


def limb(
    name: str,
    surface: Surface,
    at: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    taper: float = 0.6,
    swing: Swing | None = None,
    parent: int = -1,
    patches: tuple[Patch, ...] = (),
) -> Piece:
    """A long piece with its joint at one end; at `angle` 0 it hangs down from there.

    Args:
        at: the joint, in the parent's units.
        taper: how wide the far end is, of the width at the joint.
    """
    ring = [(-0.5, -0.3), (0.5, -0.3), (0.5, 0), (0.5 * taper, 1), (-0.5 * taper, 1), (-0.5, 0)]
    outline = closed([(x * width, y * length) for x, y in ring], soft=2)
    return Piece(name, outline, surface, patches, parent, place(*at, angle), swing)


def poses(body: Body, time: float) -> list[tuple[Affine, float] | None]:
    """Where each piece is: from its units to the body's, and how bright it is; None for the far side of a solid."""
    found: dict[int, Affine] = {}

    def pose(index: int) -> Affine:
        if index not in found:
            piece = body.pieces[index]
            turn = piece.spin * time
            if piece.swing is not None:
                turn += piece.swing.reach * math.sin(2 * math.pi * (time / piece.swing.period + piece.swing.phase))
            here = then(place(0, 0, turn), piece.rest) if turn else piece.rest
            found[index] = then(here, pose(piece.parent)) if piece.parent >= 0 else here
        return found[index]

    return [
        (pose(index), 1.0) if piece.facing is None else _face(piece.facing, body.roll * time, body.tilt)
        for index, piece in enumerate(body.pieces)
    ]


def _face(facing: tuple[float, ...], roll: float, tilt: float) -> tuple[Affine, float] | None:
    """A side of a solid that turns about its upright axis, which leans by `tilt`, seen from far away."""
    cos_roll, sin_roll, cos_tilt, sin_tilt = math.cos(roll), math.sin(roll), math.cos(tilt), math.sin(tilt)

    def turned(x: float, y: float, z: float) -> tuple[float, float, float]:
        x, z = cos_roll * x + sin_roll * z, cos_roll * z - sin_roll * x
        return x, cos_tilt * y - sin_tilt * z, sin_tilt * y + cos_tilt * z

    center, right, down = turned(*facing[:3]), turned(*facing[3:6]), turned(*facing[6:])
    facing_us = right[0] * down[1] - right[1] * down[0]
    if facing_us <= 0.02 * math.dist((0, 0, 0), right) * math.dist((0, 0, 0), down):
        return None
    # Light from the upper left: the more a side looks there, the brighter.
    normal_x = right[1] * down[2] - right[2] * down[1]
    normal_y = right[2] * down[0] - right[0] * down[2]
    size = math.hypot(normal_x, normal_y, facing_us)
    light = 0.75 + 0.3 * (-0.5 * normal_x - 0.6 * normal_y + 0.6 * facing_us) / size
    return (right[0], down[0], center[0], right[1], down[1], center[1]), light
