# SPDX-License-Identifier: Apache-2.0
"""What the readers of all data sets share: a source made of names and of a way to open the video of a name.

In: the names, and a function that lists a video's files and reads its annotations, but decodes no frame. Out: a
`Source` that checks what is asked for, lists a video when it is first asked for, and keeps the latest ones open.
"""

import collections
import dataclasses
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from data.formats import rle
from data.formats.reading import breaking, naming, read_frame
from data.source import BrokenExample, Video


class Pictures(Protocol):
    """The frames of a video. Many threads read from one, so nothing in it changes; the frames asked for are there."""

    def read(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        """Some of them, ascending, each (H, W, 3) uint8 RGB."""

    def jpeg(self, frame: int) -> bytes | None:
        """The JPEG file that a frame is; None where it comes from anything else."""


class Masks(Protocol):
    """The masks of a video's O objects. Many threads read from one, so nothing in it changes.

    The frames asked for are annotated, and the objects, given by their places in `Video.objects`, are there.
    """

    def write(self, frame: int, objects: Sequence[int], out: np.ndarray) -> None:
        """Writes the masks of some objects into `out`, (O, H, W) bool."""

    def areas(self, frame: int) -> np.ndarray:
        """(O,) int64 pixels."""


@dataclasses.dataclass(frozen=True)
class OpenVideo:
    """A video whose files have been listed and whose annotations have been read."""

    facts: Video
    pictures: Pictures
    masks: Masks


@dataclasses.dataclass(frozen=True)
class PictureFiles:
    """`Pictures` that are files, by their paths."""

    paths: tuple[str, ...]

    def read(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        return (read_frame(self.paths[frame]) for frame in frames)

    def jpeg(self, frame: int) -> bytes | None:
        path = self.paths[frame]
        if not path.lower().endswith((".jpg", ".jpeg")):
            return None
        with breaking(path), open(path, "rb") as file:
            return file.read()


@dataclasses.dataclass(frozen=True)
class Segments:
    """`Masks` that are run-length encoded.

    Attributes:
        size: (H, W), pixels.
        rows: by frame, the segments of all objects as they stand in JSON; None for an object that is out of sight.
        places: what each object is called in messages, with its file.
    """

    size: tuple[int, int]
    rows: Mapping[int, Sequence[dict | None]]
    places: Sequence[str]

    def write(self, frame: int, objects: Sequence[int], out: np.ndarray) -> None:
        for place, mask in zip(objects, out, strict=True):
            segment = self.rows[frame][place]
            with naming(self.places[place]):
                if segment is None:
                    mask[:] = False
                else:
                    rle.decode(rle.counts_of(segment, self.size), self.size, mask)

    def areas(self, frame: int) -> np.ndarray:
        areas = np.zeros(len(self.places), np.int64)
        for place, segment in enumerate(self.rows[frame]):
            with naming(self.places[place]):
                if segment is not None:
                    areas[place] = rle.area(rle.counts_of(segment, self.size), self.size)
        return areas

    def counts(self, frame: int) -> list[bytes | None] | None:
        """The compressed run lengths of all objects, None for one out of sight; None where any are not compressed."""
        found = [None if one is None else rle.counts_of(one, self.size) for one in self.rows[frame]]
        if any(isinstance(counts, list) for counts in found):
            return None
        return [counts.encode() if isinstance(counts, str) else counts for counts in found]


class VideoList:
    """A `Source` of the videos that a list of names stands for. It can be pickled, and forgets then what it has open.

    Attributes:
        name: of the source.
        names: what stands for the videos, in the order of their numbers.
    """

    def __init__(
        self, name: str, names: Sequence, open_video: Callable[..., OpenVideo], kept: int = 64, name_of: Callable = str
    ):
        """Opens nothing yet.

        Args:
            name: of the source.
            names: what `open_video`, which has to be picklable, opens the videos of; at least one.
            kept: how many of the latest videos stay open, for threads that ask for the facts, the areas, the frames and
                the masks in turn. To open one takes as long as to read a frame, where its annotations are JSON.
            name_of: gives the name of the video that one of `names` stands for; has to be picklable.

        Raises:
            ValueError: there are no names.
        """
        if not names:
            raise ValueError(f"The source {name} has no videos.")
        self.name, self.names = name, names
        self._open, self._kept, self._name_of = open_video, kept, name_of
        self._lock, self._videos = threading.Lock(), collections.OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"{self.name} ({len(self)} videos)"

    def __getstate__(self) -> dict:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_videos")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _videos=collections.OrderedDict())

    def video_name(self, index: int) -> str:
        """The name of a video, see `Source.video_name`."""
        return self._name_of(self.names[self._number(index)])

    def video(self, index: int) -> Video:
        """What is known of a video, see `Source.video`."""
        return self._video(index).facts

    def frames(self, index: int, frames: Sequence[int]) -> np.ndarray:
        """(T, H, W, 3) uint8 RGB, see `Source.frames`."""
        video = self._video(index)
        facts = video.facts
        for frame in frames:
            _check_frame(facts, frame)
        result = np.empty((len(frames), facts.height, facts.width, 3), np.uint8)
        # Files of videos are decoded forward, so time that runs backward is turned round here.
        pictures, before = video.pictures.read(sorted(set(frames))), None
        for place in sorted(range(len(frames)), key=frames.__getitem__):
            if before is not None and frames[before] == frames[place]:
                result[place] = result[before]
            else:
                with naming(f"Frame {frames[place]} of {facts.name}"):
                    picture = next(pictures)
                    if picture.shape != result.shape[1:]:
                        raise BrokenExample(
                            f"it has {picture.shape[1]} x {picture.shape[0]} pixels, but the video {facts.width} x "
                            f"{facts.height}."
                        )
                result[place] = picture
            before = place
        return result

    def masks(self, index: int, frames: Sequence[int], objects: Sequence[int] | None = None) -> np.ndarray:
        """(T, O, H, W) bool, see `Source.masks`."""
        video = self._video(index)
        facts = video.facts
        objects = range(len(facts.objects)) if objects is None else objects
        for place in objects:
            if not 0 <= place < len(facts.objects):
                raise IndexError(f"{facts.name} has no object in place {place}: it has {len(facts.objects)}.")
        result = np.empty((len(frames), len(objects), facts.height, facts.width), bool)
        for frame, masks in zip(frames, result, strict=True):
            _check_annotated(facts, frame)
            with naming(f"Frame {frame} of {facts.name}"):
                video.masks.write(frame, objects, masks)
        return result

    def areas(self, index: int, frame: int) -> np.ndarray:
        """(O,) int64, see `Source.areas`."""
        video = self._video(index)
        _check_annotated(video.facts, frame)
        with naming(f"Frame {frame} of {video.facts.name}"):
            return video.masks.areas(frame)

    def jpeg(self, index: int, frame: int) -> bytes | None:
        """The JPEG file that a frame is decoded from; None where it comes from anything else."""
        video = self._video(index)
        _check_frame(video.facts, frame)
        with naming(f"Frame {frame} of {video.facts.name}"):
            return video.pictures.jpeg(frame)

    def run_lengths(self, index: int, frame: int) -> Sequence[bytes | None] | None:
        """COCO's compressed counts of the O masks on an annotated frame; None where they come from anything else."""
        video = self._video(index)
        _check_annotated(video.facts, frame)
        if not isinstance(video.masks, Segments):
            return None
        with naming(f"Frame {frame} of {video.facts.name}"):
            return video.masks.counts(frame)

    def _number(self, index: int) -> int:
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} has no video {index}: it has {len(self)}.")
        return index

    def _video(self, index: int) -> OpenVideo:
        index = self._number(index)
        with self._lock:
            if index in self._videos:
                self._videos.move_to_end(index)
                return self._videos[index]
        # Outside of the lock, so that others need not wait; two threads may open the same video, to the same end.
        video = self._open(self.names[index])
        with self._lock:
            self._videos[index] = video
            if len(self._videos) > self._kept:
                self._videos.popitem(last=False)
        return video


def _check_frame(facts: Video, frame: int) -> None:
    if not 0 <= frame < facts.frames:
        raise IndexError(f"{facts.name} has no frame {frame}: it has {facts.frames}.")


def _check_annotated(facts: Video, frame: int) -> None:
    if frame not in facts.annotated:
        raise IndexError(f"{facts.name} has no masks on frame {frame}: it has them on {len(facts.annotated)} frames.")
