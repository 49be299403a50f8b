# SPDX-License-Identifier: Apache-2.0
"""One video as a protocol sees it: frames when they are asked for, and the true masks of its objects.

In: anything that gives videos by number (`Videos`). Out: a `Clip`, whose true masks are in memory, a bit for a pixel.
No jax.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

NEVER = -1  # the frame of what does not happen
_FRAMES_AT_ONCE = 8


class Videos(Protocol):
    """What is evaluated on: videos, or pictures as videos of one frame.

    What `video` returns has the attributes name, frames, height, width, objects (the identities of the objects),
    annotated (the frames that have masks, ascending), of_video and of_objects (facts by name; O values each of the
    latter). A method `frame_name(index, frame)`, where there is one, tells what files about a frame are called.
    """

    name: str

    def __len__(self) -> int: ...

    def video(self, index: int) -> Any: ...

    def frames(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(T, H, W, 3) uint8 RGB."""

    def masks(self, index: int, frames: Sequence[int], objects: Sequence[int] | None = None) -> np.ndarray:
        """(T, O, H, W) bool; `objects` are places in the video's own list."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """A video and what is true of it.

    Attributes:
        name: of the video.
        length: T, frames.
        size: (H, W), pixels.
        objects: the identities of its O objects; those that are in sight on an annotated frame.
        annotated: the A frames that have masks, ascending.
        packed: (A, O, H, W / 8) uint8, the true masks, a bit a pixel.
        of_video: facts about the video by name.
        of_objects: facts about the objects by name, O values each.
        frames: gives frames by their indices, (T, H, W, 3) uint8 RGB.
        frame_name: gives the name of files about a frame, without a suffix.
    """

    name: str
    length: int
    size: tuple[int, int]
    objects: tuple[int, ...]
    annotated: tuple[int, ...]
    packed: np.ndarray
    of_video: Mapping[str, Any]
    of_objects: Mapping[str, tuple]
    frames: Callable[[Sequence[int]], np.ndarray]
    frame_name: Callable[[int], str]

    @functools.cached_property
    def places(self) -> dict[int, int]:
        """By annotated frame, its place among them."""
        return {frame: place for place, frame in enumerate(self.annotated)}

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """(O,) int the first annotated frame that each object is in sight on."""
        return np.array(self.annotated)[self.packed.any((2, 3)).argmax(0)]

    def truth(self, frame: int) -> np.ndarray:
        """(O, H, W) bool the true masks of an annotated frame."""
        return np.unpackbits(self.packed[self.places[frame]], axis=-1, count=self.size[1]).view(bool)


def open_clip(videos: Videos, index: int, most_frames: int | None = None) -> Clip:
    """Reads the true masks of a video; its frames are read later.

    Args:
        most_frames: evaluate its first frames alone.

    Raises:
        ValueError: it has no annotated frame, or no object in sight on one.
    """
    video = videos.video(index)
    length = min(video.frames, most_frames or video.frames)
    annotated = tuple(frame for frame in video.annotated if frame < length)
    packed = [
        np.packbits(videos.masks(index, annotated[start : start + _FRAMES_AT_ONCE]), axis=-1)
        for start in range(0, len(annotated), _FRAMES_AT_ONCE)
    ]
    packed = np.concatenate(packed) if packed else np.zeros((0, len(video.objects), 1, 1), np.uint8)
    seen = np.flatnonzero(packed.any((0, 2, 3)))
    if not len(seen):
        raise ValueError(f"The video {video.name} of {videos.name} has no object in sight on an annotated frame.")
    frame_name = getattr(videos, "frame_name", None)
    return Clip(
        name=video.name,
        length=length,
        size=(video.height, video.width),
        objects=tuple(video.objects[place] for place in seen),
        annotated=annotated,
        packed=packed[:, seen],
        of_video=dict(video.of_video),
        of_objects={name: tuple(values[place] for place in seen) for name, values in video.of_objects.items()},
        frames=functools.partial(videos.frames, index),
        frame_name="{:05d}".format if frame_name is None else functools.partial(frame_name, index),
    )
