# SPDX-License-Identifier: Apache-2.0
"""Made-up videos and pictures as sources of examples: exact masks, no files, as many as are wanted.

In: a seed and the number of a video. Out: what `data.source.Source` promises. The seed, the number and the arguments
of a source determine every byte, and a frame is rendered without those before it.

Another version of OpenCV may round a grey level, or a pixel on a border, the other way. And since objects are chosen by
what is seen of them, it may choose another object now and then, but not where the choice was recorded.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data.source import Video
from data.synthetic import clear
from data.synthetic.casting import SMALLEST, cast_picture, cast_video
from data.synthetic.dice import Dice
from data.synthetic.plots import draw_picture, draw_video
from data.synthetic.recent import Recent
from data.synthetic.scenes import Object, Scene
from data.synthetic.stage import Stage

VERSION = 1  # of all that is drawn: a change to any scene is a new version, and figures of two do not compare
_SCENES, _STAGES, _BYTES = 256, 16, 64 << 20  # kept at hand: scenes, painted ones, and bytes of rendered frames
_WEIGHTS = (2, 4, 4, 2, 1, 1)  # of 1 to 6 objects in a video


@dataclasses.dataclass(frozen=True)
class Casting:
    """What of a scene is shown.

    Attributes:
        attempt: which draw of it was taken, since some have too little to see.
        objects: which of its parts are objects.
        hidden: in how many frames each has no pixel; none where nobody counted.
    """

    attempt: int
    objects: tuple[Object, ...]
    hidden: tuple[int, ...] = ()


class _Synthetic:
    """What videos and pictures have in common; `_plot` and `_cast` make them differ."""

    _stream: int  # draws of videos and pictures of one seed have nothing in common

    def __init__(self, seed: int, count: int, name: str, frames: int, size: int, castings: Sequence[Casting] | None):
        if min(seed, count) < 0 or frames < 1 or size < 16:
            raise ValueError(
                f"{name} needs a seed and a count of at least 0, at least 1 frame and at least 16 pixels, "
                f"but {seed}, {count}, {frames} and {size} came."
            )
        self.name, self.seed, self.count, self.length, self.size = name, seed, count, frames, size
        self.castings = castings
        self._keep()

    def _keep(self) -> None:
        self._scenes, self._stages, self._rendered = Recent(_SCENES), Recent(_STAGES), Recent(_BYTES)

    def __getstate__(self) -> dict:
        return {key: value for key, value in vars(self).items() if not isinstance(value, Recent)}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._keep()

    def __len__(self) -> int:
        return self.count

    def video_name(self, index: int) -> str:
        self._check(index)
        return f"{self.name}_{self.seed}_{index:06d}"

    def video(self, index: int) -> Video:
        scene = self._scene(index)
        actors = [scene.actors[object_.actor] for object_ in scene.objects]
        parts = tuple(scene.part(object_).name for object_ in scene.objects)
        hidden = self.castings[index].hidden if self.castings is not None else ()
        return Video(
            name=self.video_name(index),
            frames=self.length,
            height=self.size,
            width=self.size,
            objects=tuple(range(len(scene.objects))),
            annotated=tuple(range(self.length)),
            of_video={
                "backdrop": scene.backdrop.kind,
                "camera": scene.camera.kind,
                "actors": len(scene.actors),
                "motion_blur": int(scene.lens.shutter > 0),
                "jpeg_quality": scene.lens.quality,
            },
            of_objects={
                "kind": tuple(actor.body.kind for actor in actors),
                "part": parts,
                "is_part": tuple(int(part != "whole") for part in parts),
                "role": tuple(actor.role for actor in actors),
                "motion": tuple(actor.motion for actor in actors),
                "event": tuple(actor.event for actor in actors),
                "look_alikes": tuple(actor.twins for actor in actors),
                "camouflaged": tuple(int(actor.camouflaged) for actor in actors),
                "bends": tuple(int(actor.bend is not None) for actor in actors),
                "size": tuple(round(float(actor.track.size[0]), 2) for actor in actors),
                **({"hidden_frames": hidden} if hidden else {}),
            },
        )

    def frames(self, index: int, frames: Sequence[int]) -> np.ndarray:
        pictures = [self._frame(index, frame)[0] for frame in frames]
        return np.stack(pictures) if pictures else np.zeros((0, self.size, self.size, 3), np.uint8)

    def masks(self, index: int, frames: Sequence[int], objects: Sequence[int] | None = None) -> np.ndarray:
        count = len(self._scene(index).objects)
        chosen = list(range(count) if objects is None else objects)
        if any(not 0 <= place < count for place in chosen):
            raise IndexError(f"{self.name} {index} has objects 0 to {count - 1}, but {chosen} were asked for.")
        masks = [np.unpackbits(self._frame(index, frame)[1][chosen], axis=-1, count=self.size) for frame in frames]
        return np.stack(masks).view(bool) if masks else np.zeros((0, len(chosen), self.size, self.size), bool)

    def areas(self, index: int, frame: int) -> np.ndarray:
        return self._frame(index, frame)[2].copy()

    def casting(self, index: int) -> Casting:
        """Which draw of a scene a video is, and which of its parts are objects; to be recorded."""
        self._check(index)
        attempt, scene = self._choose(index)
        return Casting(attempt, scene.objects)

    def _plot(self, dice: Dice) -> Scene:
        """A scene without objects."""
        raise NotImplementedError

    def _cast(self, dice: Dice, scene: Scene) -> tuple[Object, ...]:
        """Its objects, none where there is too little to see."""
        raise NotImplementedError

    def _choose(self, index: int) -> tuple[int, Scene]:
        """The first attempt that has objects."""
        attempt = 0
        while True:
            dice = self._dice(index, attempt)
            scene = self._plot(dice)
            objects = self._cast(dice, scene)
            if objects:
                return attempt, dataclasses.replace(scene, objects=objects)
            attempt += 1

    def _dice(self, index: int, attempt: int) -> Dice:
        return Dice(VERSION, self._stream, self.seed, index, attempt)

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name} has videos 0 to {self.count - 1}, but {index} was asked for.")

    def _scene(self, index: int) -> Scene:
        def drawn() -> Scene:
            self._check(index)
            if self.castings is None:
                return self._choose(index)[1]
            casting = self.castings[index]
            return dataclasses.replace(self._plot(self._dice(index, casting.attempt)), objects=casting.objects)

        return self._scenes.get(index, drawn)

    def _frame(self, index: int, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A frame, its masks packed into bits, and their areas."""
        scene = self._scene(index)
        if not 0 <= frame < self.length:
            raise IndexError(f"{self.name} {index} has frames 0 to {self.length - 1}, but {frame} was asked for.")

        def rendered():
            picture, masks = self._stages.get(index, lambda: Stage(scene, self.size)).render(frame)
            return picture, np.packbits(masks, axis=-1), masks.sum(axis=(1, 2), dtype=np.int64)

        weight = self.size**2 * (24 + len(scene.objects)) // 8
        return self._rendered.get((index, frame), rendered, weight)


class SyntheticVideos(_Synthetic):
    """Videos of moving, deforming things that cross, hide and look like each other."""

    _stream = 1

    def __init__(
        self,
        seed: int,
        count: int,
        name: str = "synthetic",
        frames: int = 24,
        size: int = 256,
        objects: tuple[int, int] = (1, 6),
        in_first_frame: bool = False,
        castings: Sequence[Casting] | None = None,
    ):
        """Args:
        seed: of all of them; videos of different seeds have nothing in common.
        frames: T. Another T gives other videos, not longer ones.
        size: pixels of the side; the same scenes at any size.
        objects: the fewest and the most objects in a video.
        in_first_frame: every object covers at least 0.3% of frame 0.
        castings: recorded ones, one for each video, instead of `objects` and `in_first_frame`.

        Raises:
            ValueError: an argument out of its range.
        """
        if not 1 <= objects[0] <= objects[1] <= len(_WEIGHTS):
            raise ValueError(f"{name} can have 1 to {len(_WEIGHTS)} objects in a video, but {objects} were asked for.")
        self.objects, self.in_first_frame = objects, in_first_frame
        super().__init__(seed, count, name, frames, size, castings)

    def _plot(self, dice: Dice) -> Scene:
        return draw_video(dice, self.length)

    def _cast(self, dice: Dice, scene: Scene) -> tuple[Object, ...]:
        return cast_video(dice, scene, self._counts(), self.in_first_frame)

    def _counts(self) -> dict[int, float]:
        """How many objects, with weights."""
        low, high = self.objects
        return {count: _WEIGHTS[count - 1] for count in range(low, high + 1)}


class ClearVideos(SyntheticVideos):
    """Videos of a few large things that stand out; all objects are whole things."""

    _stream = 3

    def _plot(self, dice: Dice) -> Scene:
        return clear.draw_clear_video(dice, self.length)

    def _cast(self, dice: Dice, scene: Scene) -> tuple[Object, ...]:
        return cast_video(dice, scene, self._counts(), self.in_first_frame, clear.SMALLEST, parts=0.0)


class SyntheticPictures(_Synthetic):
    """Pictures full of things and parts of things, as videos of one frame."""

    _stream = 2

    def __init__(
        self,
        seed: int,
        count: int,
        name: str = "synthetic_pictures",
        size: int = 256,
        most: int = 24,
        castings: Sequence[Casting] | None = None,
    ):
        """Args:
        seed, size, castings: as in `SyntheticVideos`.
        most: the most objects in a picture.

        Raises:
            ValueError: an argument out of its range.
        """
        if most < 1:
            raise ValueError(f"{name} needs at least 1 object in a picture, but {most} came.")
        self.most = most
        super().__init__(seed, count, name, 1, size, castings)

    def _plot(self, dice: Dice) -> Scene:
        return draw_picture(dice)

    def _cast(self, dice: Dice, scene: Scene) -> tuple[Object, ...]:
        return cast_picture(dice, scene, self.most, SMALLEST / 2)


class ClearPictures(SyntheticPictures):
    """Pictures of a few large things that stand out; all objects are whole things."""

    _stream = 4

    def _plot(self, dice: Dice) -> Scene:
        return clear.draw_clear_picture(dice)

    def _cast(self, dice: Dice, scene: Scene) -> tuple[Object, ...]:
        return cast_picture(dice, scene, self.most, clear.SMALLEST, parts=0.0)
