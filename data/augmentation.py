# SPDX-License-Identifier: Apache-2.0
"""How a clip is changed before the model sees it, drawn but not yet done (Table 12).

In: settings, a random generator. Out: a `Geometry`, which `data.geometry` carries out on the host, and the colour
changes of each frame as arrays, which the training step carries out on the device.
"""

import dataclasses

import numpy as np

OPERATIONS = ("brightness", "contrast", "saturation")  # the numbers in a colour's `order`


@dataclasses.dataclass(frozen=True)
class Jitter:
    """How far colours go: each factor is drawn uniformly from 1 - value to 1 + value, and not below 0."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The changes of Table 12. All but `frame_jitter` are drawn once for a clip and are alike on all its frames.

    Attributes:
        flip: the probability of a left-right flip.
        degrees: rotations are drawn from -degrees to degrees.
        shear: horizontal shears are drawn from -shear to shear, degrees.
        mosaic: the probability that the clip is tiled 2 x 2, with the objects in one of the tiles.
        clip_jitter: of the whole clip.
        grayscale: the probability that the clip loses its colours.
        frame_jitter: of each frame.
    """

    flip: float = 0.5
    degrees: float = 25.0
    shear: float = 20.0
    mosaic: float = 0.1
    clip_jitter: Jitter = Jitter(0.1, 0.03, 0.03)
    grayscale: float = 0.05
    frame_jitter: Jitter = Jitter(0.1, 0.05, 0.05)

    def __post_init__(self):
        for name in ("flip", "mosaic", "grayscale"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, but {getattr(self, name)} came.")
        if not 0 <= self.degrees <= 180 or not 0 <= self.shear < 90:
            raise ValueError(f"degrees are 0 to 180 and shear below 90, but {self.degrees} and {self.shear} came.")


VIDEO_AUGMENTATION = Augmentation()
PICTURE_AUGMENTATION = Augmentation(
    degrees=0.0, shear=0.0, mosaic=0.0, clip_jitter=Jitter(), grayscale=0.0, frame_jitter=Jitter()
)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What becomes of a clip's pixels, in this order.

    Attributes:
        flip: left and right change places.
        angle: degrees of rotation about the middle, clockwise.
        shear: degrees of horizontal shear.
        quadrant: (row, column), each 0 or 1: where in a 2 x 2 mosaic the objects are; None for no mosaic.
    """

    flip: bool = False
    angle: float = 0.0
    shear: float = 0.0
    quadrant: tuple[int, int] | None = None


def draw_geometry(augmentation: Augmentation, generator: np.random.Generator) -> Geometry:
    """One draw for a whole clip."""
    flip, mosaic = generator.random(2) < (augmentation.flip, augmentation.mosaic)
    angle, shear = generator.uniform(-1, 1, 2) * (augmentation.degrees, augmentation.shear)
    row, column = generator.integers(0, 2, 2).tolist()
    return Geometry(bool(flip), float(angle), float(shear), (row, column) if mosaic else None)


def draw_colour(augmentation: Augmentation, frames: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """The colour changes of a clip's T frames, for `train.colour.jitter`.

    There are two rounds, the clip's, which is alike on all frames, and each frame's own; the colours are taken away
    between them.

    Returns:
        factors: (T, 2, 3) float32, one for each of `OPERATIONS`; 1 changes nothing.
        order: (T, 2, 3) int32, the numbers of the operations as they follow each other.
        grayscale: (T,) bool.
    """
    clip, frame = (np.array(dataclasses.astuple(j)) for j in (augmentation.clip_jitter, augmentation.frame_jitter))
    spread = np.stack([np.broadcast_to(clip, (frames, 3)), np.broadcast_to(frame, (frames, 3))], axis=1)
    draws = generator.random((frames, 2, 3))
    draws[:, 0] = draws[0, 0]
    order = generator.permuted(np.broadcast_to(np.arange(3), (frames, 2, 3)), axis=-1)
    order[:, 0] = order[0, 0]
    lowest = np.maximum(1 - spread, 0)
    return {
        "factors": (lowest + draws * (1 + spread - lowest)).astype(np.float32),
        "order": order.astype(np.int32),
        "grayscale": np.full(frames, generator.random() < augmentation.grayscale),
    }
