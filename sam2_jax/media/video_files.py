# SPDX-License-Identifier: Apache-2.0
"""Exact frames out of video files, and H.264 files out of frames.

In: a path, or uint8 (H, W, 3) RGB frames. Out: the frames in the order they are shown, from any of them on, the same
whether sought or come in turn; or an MP4 file. A decoder's few frames are in memory, whatever the length.
"""

import bisect
import contextlib
import fractions
import itertools
import os
import pathlib
import threading
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from sam2_jax.media.files import replacing
from sam2_jax.media.video_index import decoded, index_of, opened, whole_packets

_BT709 = 1  # the colours of high definition, in FFmpeg's numbers; untagged files look different from player to player
_LIMITED_RANGE = 1


class VideoFile:
    """A video file (MP4, MOV, MKV, WebM, AVI), which opening reads through once.

    Attributes: `height` and `width` in pixels of the frames as they come out, turned as the file says; `length`, the
    frames that are there, counted; `frames_per_second`, or None where the file does not say; `damage`, a sentence where
    the file breaks off after them, else None.

    Raises:
        ValueError: the file cannot be read as a video.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._cursor, self._position = None, -1  # the frames that `frame` reads, and the index of its next one
        try:
            self._index = index_of(self.path)
            self._lead = 0
            with contextlib.closing(self._decoded(0)) as frames:
                first = next(frames, None)
        except av.FFmpegError as error:
            raise ValueError(
                f"{self.path} cannot be read as a video (MP4, MOV, MKV, WebM, AVI): {error.strerror}."
            ) from error
        if self._index.ordered and first is not None:
            # The first frames of a file cut out of another may need what was cut away: no decoder shows them.
            self._lead = bisect.bisect_left(self._index.times, first.pts)
        self.length = len(self._index.times) - self._lead
        if first is None or self.length < 1:
            raise ValueError(f"{self.path} cannot be read as a video: not one frame of it can be decoded.")
        self.frames_per_second = self._index.frames_per_second
        self.damage = self._breaks_off_after(self.length - 1) if self._index.damaged else None
        self.height, self.width = _upright(first, VideoReformatter()).shape[:2]

    def frames(self, start: int = 0) -> Iterator[np.ndarray]:
        """The frames from `start` on. Raises `ValueError` where the file is damaged, after the frames before that."""
        reformatter, position = VideoReformatter(), start
        try:
            with contextlib.closing(self._decoded(start)) as frames:
                for frame in itertools.islice(frames, self.length - start):
                    if self._index.ordered and frame.pts != self._index.times[self._lead + position]:
                        break
                    picture = _upright(frame, reformatter)
                    if picture.shape[:2] != (self.height, self.width):
                        raise ValueError(
                            f"Frame {position} of {self.path} has {picture.shape[1]} x {picture.shape[0]} pixels, but "
                            f"the first has {self.width} x {self.height}."
                        )
                    position += 1
                    yield picture
        except av.FFmpegError as error:
            raise ValueError(f"{self.path} is damaged after frame {position - 1}: {error.strerror}.") from error
        if self._index.damaged or position < self.length:
            raise ValueError(self._breaks_off_after(position - 1))

    def frame(self, index: int) -> np.ndarray:
        """The frame at an index from 0 to `length` - 1. Frames asked for in their order are decoded once each."""
        with self._lock:
            start = self._index.keyframe(self._lead + index) - self._lead
            if not max(start, 0) <= self._position <= index:  # else going on from the last one is as near
                if self._cursor is not None:
                    self._cursor.close()
                self._cursor, self._position = self.frames(index), index
            ahead, self._position = index - self._position, -1  # -1 stays where the next line raises
            picture = next(itertools.islice(self._cursor, ahead, None))
            self._position = index + 1
            return picture

    def _breaks_off_after(self, index: int) -> str:
        return f"{self.path} is damaged after frame {index}: the rest cannot be decoded."

    def _decoded(self, start: int) -> Iterator[av.VideoFrame]:
        """The decoder's frames from `start` on."""
        with opened(self.path) as (container, stream):
            if start == 0:
                yield from decoded(whole_packets(container, stream), stream)
            elif not self._index.ordered:
                yield from itertools.islice(decoded(whole_packets(container, stream), stream), start, None)
            else:
                time = self._index.times[self._lead + start]
                frames = decoded(self._packets_for(self._lead + start, container, stream), stream)
                yield from itertools.dropwhile(lambda frame: frame.pts < time, frames)

    def _packets_for(self, index: int, container, stream) -> Iterator[av.Packet]:
        """The packets from a keyframe on that is shown with the frame at `index`, or before it."""
        for _ in range(4):
            index = self._index.keyframe(index)
            container.seek(self._index.times[index], stream=stream)
            packets = whole_packets(container, stream)
            first = next(packets, None)
            # Some containers are sought by the time of decoding, which may lead to a later keyframe.
            if first is not None and first.is_keyframe and first.pts <= self._index.times[index]:
                return itertools.chain([first], packets)
            if index == 0:
                break
            index -= 1
        container.seek(min(0, self._index.times[0]), stream=stream)
        return whole_packets(container, stream)


class VideoWriter:
    """Writes frames as an H.264 MP4 file that every player shows; a context manager.

    The file appears whole, when the block ends, or, where the block raises, not at all. H.264 stores colours at half
    the resolution and so has even sides only: an odd one grows by one pixel, which repeats the last.

    Args:
        path: ends in .mp4.
        frames_per_second: above 0.
        height: of every frame, pixels.
        width: of every frame, pixels.

    Raises:
        ValueError: the path does not end in .mp4, or a number is not above 0; at the end, no frame was written.
        FileNotFoundError: the folder does not exist.
    """

    def __init__(self, path: str | os.PathLike, frames_per_second: float, height: int, width: int):
        if pathlib.Path(path).suffix.lower() != ".mp4":
            raise ValueError(f"{path} must end in .mp4: a video is written as MP4.")
        if min(frames_per_second, height, width) <= 0:
            raise ValueError(
                f"frames_per_second, height and width are above 0, but {frames_per_second}, {height} and {width} came."
            )
        self._path, self._rate = path, fractions.Fraction(frames_per_second).limit_denominator(10_000)
        self._shape, self._frames = (height, width, 3), 0

    def __enter__(self) -> "VideoWriter":
        self._writing = self._opened()
        self._container, self._stream = self._writing.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._writing.__exit__(*error)

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 (H, W, 3) RGB. Raises `ValueError` for any other array."""
        frame = np.asarray(frame)
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(
                f"Frame {self._frames} for {self._path} must be uint8 of shape {self._shape}, but "
                f"{frame.dtype} of shape {frame.shape} came."
            )
        height, width, _ = self._shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE)
        self._container.mux(self._stream.encode(picture))
        self._frames += 1

    @contextlib.contextmanager
    def _opened(self):
        height, width, _ = self._shape
        options = {"movflags": "faststart"}  # so that a page can play it while it loads
        with replacing(self._path) as file, av.open(os.fspath(file.name), "w", format="mp4", options=options) as video:
            stream = video.add_stream("libx264", rate=self._rate, options={"crf": "18"})
            stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED_RANGE
            yield video, stream
            if not self._frames:
                raise ValueError(f"{self._path} was not written: no frame came.")
            video.mux(stream.encode())


def _upright(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """A frame as RGB, turned as the file's display matrix says."""
    picture = reformatter.reformat(frame, format="rgb24").to_ndarray()
    turns = round(frame.rotation / 90) % 4  # degrees counter-clockwise
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
