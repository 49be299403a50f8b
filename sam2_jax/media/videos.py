# SPDX-License-Identifier: Apache-2.0
"""Videos in and out of files: anything that holds frames, read one frame at a time.

In: a folder of pictures, a video file, an array, or any iterable of pictures. Out: uint8 (H, W, 3) RGB frames, in their
order or by their index, decoded ahead of the computation where asked; H.264 files.
"""

import contextlib
import dataclasses
import itertools
import operator
import os
import pathlib
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from sam2_jax.media.paths import local_path
from sam2_jax.media.pictures import read_picture, stored_size
from sam2_jax.media.video_files import VideoFile, VideoWriter

__all__ = ["Video", "VideoWriter", "ahead", "open_video"]

_PICTURES = (".jpg", ".jpeg", ".png")
_BLOCK = 8  # frames that are held to go backward


@dataclasses.dataclass(frozen=True, eq=False)
class Video:
    """A video that is read while it is used: iterate over it for all frames in order, each uint8 (H, W, 3) RGB.

    It can be iterated over as often as wanted, except where the frames come from an iterator: then once, and
    `ValueError` is raised the second time. A frame may share the memory of an array that came in.

    Attributes:
        name: of the source, for messages.
        height: pixels.
        width: pixels.
        frames_per_second: None where the source does not say.
        length: the number of frames; None where only the end of the iterable will tell.
        damage: a sentence where a file is known to break off after its last frame, else None.
    """

    name: str
    height: int
    width: int
    frames_per_second: float | None
    length: int | None
    _frames: Callable[[], Iterator[np.ndarray]] = dataclasses.field(repr=False)
    _frame: Callable[[int], np.ndarray] | None = dataclasses.field(repr=False)
    damage: str | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._frames()

    def frame(self, index: int) -> np.ndarray:
        """One frame, uint8 (H, W, 3) RGB, the same as iteration gives.

        Raises:
            ValueError: there is no such frame, or it is damaged; or the frames come one after the other only.
        """
        if self._frame is None:
            raise ValueError(f"{self.name} gives its frames in order only: give a list of frames, a folder or a file.")
        index = operator.index(index)
        if not 0 <= index < self.length:
            raise ValueError(f"{self.name} has no frame {index}: it has {self.length}, from 0 to {self.length - 1}.")
        return self._frame(index)

    def frames(self, order: range) -> Iterator[np.ndarray]:
        """Some frames in order, forward or back; backward in blocks, since files are decoded forward.

        Raises `ValueError` where one is damaged, or the end is, after the frames before that.
        """
        if order.step > 0:
            yield from map(self.frame, order)
            if self.damage and self.length - 1 in order:
                raise ValueError(self.damage)
            return
        for start in range(0, len(order), _BLOCK):
            block = [self.frame(index) for index in reversed(order[start : start + _BLOCK])]
            while block:
                yield block.pop()


def open_video(source: str | os.PathLike | np.ndarray | Iterable) -> Video:
    """A video from wherever its frames are.

    Args:
        source: one of
            a folder of JPEG and PNG files (others are left alone), all of one size. Names that are numbers are sorted
            by number and must be evenly spaced; other names are sorted as people do, frame_2 before frame_10;
            an MP4, MOV, MKV, WebM or AVI file, whose frames are counted, and turned as the file says;
            an array, uint8 (T, H, W, 3) RGB or (T, H, W) grey;
            a sequence, or any other iterable, of what `read_picture` takes, all of one size. The first one is read
            at once, and an iterator is used up.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the source is none of these, holds no frames, or cannot be read; pictures of a folder differ in
            size, or one is missing from their numbers.
    """
    if isinstance(source, Video):
        return source
    if isinstance(source, str | os.PathLike):
        path = local_path(source, "The video")
        if path.is_dir():
            return _pictures(os.fspath(source), _files(path))
        if not path.exists():
            raise FileNotFoundError(f"There is no video {os.fspath(source)}.")
        file = VideoFile(source)
        size, rate = (file.height, file.width), file.frames_per_second
        return Video(file.path, *size, rate, file.length, file.frames, file.frame, file.damage)
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        return _array(np.asarray(source))
    if isinstance(source, Sequence) and not isinstance(source, bytes | bytearray):
        return _pictures("the sequence", source)
    if isinstance(source, Iterable) and not isinstance(source, bytes | bytearray):
        return _iterable(source)
    raise ValueError(f"A video is a path, an array or an iterable of pictures, but {type(source).__name__} came.")


def ahead(frames: Iterable, count: int = 8) -> Iterator:
    """The same frames, up to `count` of them read ahead in a thread, so that decoding and computing overlap.

    What the reading raises comes out after the frames before it. Closing the iterator, or letting go of it, ends the
    thread after the frame it is at.
    """
    if count < 1:
        raise ValueError(f"count is the number of frames to read ahead, at least 1, but {count} came.")
    return _ahead(frames, count)


def _ahead(frames: Iterable, count: int) -> Iterator:
    waiting = queue.Queue(count)
    stopped = threading.Event()
    end = object()

    def read():
        outcome = end
        try:
            iterator = iter(frames)
            with contextlib.closing(iterator) if hasattr(iterator, "close") else contextlib.nullcontext():
                for frame in iterator:
                    waiting.put((frame, None))
                    if stopped.is_set():
                        return
        except BaseException as error:
            outcome = error
        waiting.put((None, outcome))

    thread = threading.Thread(target=read, name="frames ahead", daemon=True)
    thread.start()
    try:
        while True:
            frame, outcome = waiting.get()
            if outcome is end:
                return
            if outcome is not None:
                raise outcome
            yield frame
    finally:
        stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:  # room for the one frame that the thread may still put
                waiting.get_nowait()
        thread.join(1)  # a source that waits for its next frame, as a camera does, ends it later


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The pictures of a folder in the order of the video, checked without decoding them."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and not path.name.startswith(".")]
    if not paths:
        raise ValueError(f"The folder {folder} holds no JPEG or PNG files.")
    if all(path.stem.isdecimal() for path in paths):
        paths.sort(key=lambda path: int(path.stem))
        _check_numbers(paths)
    else:
        paths.sort(key=_natural)
    first = stored_size(paths[0])
    for path in paths:
        if stored_size(path) != first:
            _differs(path, stored_size(path), first)
    return paths


def _check_numbers(paths: list[pathlib.Path]) -> None:
    """Data sets number every frame, or every fifth: the smallest step is the rule that the others must keep."""
    numbers = [int(path.stem) for path in paths]
    step = min((after - before for before, after in itertools.pairwise(numbers)), default=1)
    for path, (before, after) in zip(paths[1:], itertools.pairwise(numbers), strict=True):
        if step == 0 and after == before:
            raise ValueError(f"{path.parent} holds more than one picture of frame {path.stem}.")
        if after - before != step and step:
            missing = str(before + step).zfill(len(path.stem))
            raise ValueError(f"Frame {missing} is missing from {path.parent}: {path.name} follows on {before}.")


def _natural(path: pathlib.Path) -> list:
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]


def _array(array: np.ndarray) -> Video:
    expected = "a video is uint8 (T, H, W, 3) RGB or (T, H, W) grey"
    grey = array.ndim == 3 and array.shape[-1] not in (3, 4)  # a lone picture has 3 axes too
    if array.dtype != np.uint8 or not (grey or (array.ndim == 4 and array.shape[-1] == 3)):
        raise ValueError(f"An array of shape {array.shape} and type {array.dtype} came, but {expected}.")
    if 0 in array.shape:
        raise ValueError(f"An empty array of shape {array.shape} came, but {expected}.")
    return _pictures("the array", array)


def _pictures(name: str, pictures: Sequence) -> Video:
    if not len(pictures):
        raise ValueError(f"A video has at least one frame, but {name} is empty.")
    height, width = _picture(pictures[0], f"Frame 0 of {name}").shape[:2]

    def frame(index: int) -> np.ndarray:
        return _picture(pictures[index], f"Frame {index} of {name}", (height, width))

    return Video(name, height, width, None, len(pictures), lambda: map(frame, range(len(pictures))), frame)


def _iterable(frames: Iterable) -> Video:
    iterator = iter(frames)
    once = iterator is frames
    try:
        first = next(iterator)
    except StopIteration:
        raise ValueError("A video has at least one frame, but the iterable is empty.") from None
    size = _picture(first, "Frame 0").shape[:2]
    left = [itertools.chain([first], iterator)] if once else []

    def again() -> Iterator[np.ndarray]:
        if once and not left:
            raise ValueError("The frames came from an iterator, which has been used: give a list, a folder or a file.")
        source = left.pop() if once else frames
        return (_picture(frame, f"Frame {index}", size) for index, frame in enumerate(source))

    return Video("the iterable" if not once else "the iterator", *size, None, None, again, None)


def _picture(source, name: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """One frame of many, which an error names by its file or else by its number."""
    path = isinstance(source, str | os.PathLike)
    try:
        picture = read_picture(source)
    except ValueError as error:
        if path:
            raise
        raise ValueError(f"{name}: {error}") from error
    if size is not None and picture.shape[:2] != size:
        _differs(source if path else name, picture.shape[:2], size)
    return picture


def _differs(name, size: tuple[int, int], first: tuple[int, int]) -> None:
    raise ValueError(
        f"{name} has {size[1]} x {size[0]} pixels, but the first frame {first[1]} x {first[0]}: a video has one size."
    )
