# SPDX-License-Identifier: Apache-2.0
"""Masks that are PNG files: of all objects in one file a frame, or of each object in one of its own.

In: the paths of the files. Out: `Masks` of a video (`data.formats.video_list`), and which objects occur.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data.formats.reading import read_labels, read_object_mask
from data.source import BrokenExample


@dataclasses.dataclass(frozen=True)
class LabelFiles:
    """Masks of all objects in one file a frame, where each pixel holds the number of its object.

    Attributes:
        size: (H, W), pixels.
        objects: the numbers of the O objects; another one in a file, but 0, is an error.
        paths: the files, by frame.
        void: a number that stands for no object, or None.
        known_areas: (O,) by frame, where they have been counted.
    """

    size: tuple[int, int]
    objects: tuple[int, ...]
    paths: Mapping[int, str]
    void: int | None = None
    known_areas: Mapping[int, np.ndarray] | None = None

    def write(self, frame: int, objects: Sequence[int], out: np.ndarray) -> None:
        labels, _ = self._read(frame)
        for place, mask in zip(objects, out, strict=True):
            np.equal(labels, self.objects[place], out=mask)

    def areas(self, frame: int) -> np.ndarray:
        if self.known_areas is not None:
            return self.known_areas[frame].copy()
        return _areas(self._read(frame)[1], self.objects)

    def _read(self, frame: int) -> tuple[np.ndarray, dict[int, int]]:
        """The number at each pixel, and how many pixels each number has."""
        labels = read_labels(self.paths[frame], self.size)
        pixels = _count(labels, self.objects)
        unknown = pixels.keys() - {0, self.void, *self.objects}
        if unknown:
            known = ", ".join(map(str, self.objects)) or "none"
            raise BrokenExample(f"{self.paths[frame]} holds an object {min(unknown)}, but the video's are {known}.")
        return labels, pixels


@dataclasses.dataclass(frozen=True)
class ObjectFiles:
    """Masks in one file for each frame and object, where everything but black is the object.

    Attributes:
        size: (H, W), pixels.
        paths: the files of all objects, by frame.
    """

    size: tuple[int, int]
    paths: Mapping[int, Sequence[str]]

    def write(self, frame: int, objects: Sequence[int], out: np.ndarray) -> None:
        for place, mask in zip(objects, out, strict=True):
            mask[:] = read_object_mask(self.paths[frame][place], self.size)

    def areas(self, frame: int) -> np.ndarray:
        return np.array([read_object_mask(path, self.size).sum() for path in self.paths[frame]], np.int64)


def count_objects(paths: Mapping[int, str], size: tuple[int, int], void: int | None = None) -> LabelFiles:
    """The masks in files that only themselves tell which objects there are: each is decoded once, and counted."""
    pixels, occurring = {}, set()
    for frame, path in paths.items():
        pixels[frame] = _count(read_labels(path, size), occurring)
        occurring |= pixels[frame].keys()
    objects = tuple(sorted(occurring - {0, void}))
    return LabelFiles(size, objects, paths, void, {frame: _areas(count, objects) for frame, count in pixels.items()})


def _count(labels: np.ndarray, expected: Iterable[int]) -> dict[int, int]:
    """How many pixels each number has that occurs. Counting those that are expected takes a tenth of counting all."""
    pixels = {number: np.count_nonzero(labels == number) for number in {0, *expected}}
    if sum(pixels.values()) < labels.size:
        pixels = dict(enumerate(np.bincount(labels.ravel()).tolist()))
    return {number: count for number, count in pixels.items() if count}


def _areas(pixels: Mapping[int, int], objects: Sequence[int]) -> np.ndarray:
    return np.array([pixels.get(which, 0) for which in objects], np.int64)
