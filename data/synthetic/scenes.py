# SPDX-License-Identifier: Apache-2.0
"""What a scene is: who is in it, what lies behind, who looks on, and which parts of whom are objects.

In: the draws of `data.synthetic.plots`. Out: `Scene`, from which any frame can be rendered at any size.
"""

import dataclasses
import math

import numpy as np

from data.synthetic.backdrops import Backdrop
from data.synthetic.bodies import Body, Part
from data.synthetic.camera import Camera
from data.synthetic.lens import Lens
from data.synthetic.motion import Track


@dataclasses.dataclass(frozen=True)
class Bend:
    """Two waves that run through a body: how far they push it, in its units, and their (turns, cycles, phases)."""

    reach: float
    waves: tuple[tuple[float, float, float], ...]

    def at(self, x, y, time: float):
        """What is to be read at (x, y), in units of the body; arrays or numbers alike."""
        (turns, cycles, phase), (turns_2, cycles_2, phase_2) = self.waves
        push = self.reach * np.sin(turns * x + 2 * math.pi * cycles * time + phase)
        push_2 = self.reach * np.sin(turns_2 * y + 2 * math.pi * cycles_2 * time + phase_2)
        return x + push_2, y + push


@dataclasses.dataclass(frozen=True, eq=False)
class Actor:
    """A body that moves.

    Attributes:
        role: ``star``, ``twin``, ``extra``, ``fixture`` or ``cover``.
        motion: the kind of its track.
        event: what makes it vanish, if something is meant to.
        shadow: darkness of the shadow it casts, 0 for none.
        blur: how far out of focus it is, in thousandths of the picture's side.
        camouflaged: whether it is made of what lies behind it.
        twins: how many others have the same body.
        lag: frames by which its joints are ahead of others with the same body.
    """

    body: Body
    track: Track
    role: str
    motion: str
    event: str = "none"
    bend: Bend | None = None
    shadow: float = 0.0
    blur: float = 0.0
    camouflaged: bool = False
    twins: int = 0
    lag: float = 0.0


@dataclasses.dataclass(frozen=True)
class Object:
    """Something that has a mask: a part of an actor, by their numbers; part 0 is the whole."""

    actor: int
    part: int


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """T frames of a made-up world."""

    frames: int
    backdrop: Backdrop
    camera: Camera
    lens: Lens
    actors: tuple[Actor, ...]
    objects: tuple[Object, ...]

    def part(self, object_: Object) -> Part:
        return self.actors[object_.actor].body.parts[object_.part]
