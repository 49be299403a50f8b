# SPDX-License-Identifier: Apache-2.0
"""Where the frames of a video file are: counted, not believed, for what a file says of itself may be wrong.

In: the path of an MP4, MOV, MKV, WebM or AVI file. Out: the times of its frames, its keyframes, and whether its end is
missing. Reading it once is enough; nothing is decoded, except where packets and frames are not the same.
"""

import bisect
import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator

import av

# These hold their own data; playlists and scripts, which FFmpeg opens too, point to files and hosts of their choice.
_FORMATS = "mov,matroska,avi"


@dataclasses.dataclass(frozen=True)
class VideoIndex:
    """The frames of a file in the order they are shown.

    Attributes:
        times: of each frame, in the stream's units.
        keys: the indices of the frames at which decoding can start, ascending; none where `ordered` is false.
        ordered: whether the times can be trusted to tell the frames apart.
        damaged: whether frames are missing after the last.
        frames_per_second: as the file says, or None.
    """

    times: list[int | None]
    keys: list[int]
    ordered: bool
    damaged: bool
    frames_per_second: float | None

    def keyframe(self, index: int) -> int:
        """The last frame up to an index at which decoding can start."""
        before = bisect.bisect_right(self.keys, index)
        return self.keys[before - 1] if before else 0


@contextlib.contextmanager
def opened(path: str):
    """The container and its first video stream."""
    with av.open(f"file:{path}", options={"format_whitelist": _FORMATS}) as container:
        if not container.streams.video:
            raise ValueError(f"{path} cannot be read as a video: it holds none.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError(f"{path} cannot be read as a video: its codec is unknown.")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 4  # each keeps a frame in memory
        yield container, stream


def whole_packets(container, stream) -> Iterator[av.Packet]:
    """The packets from where the container stands, up to the first that the file's end cuts off."""
    with contextlib.suppress(av.FFmpegError):  # an unreadable container ends here; the count says what is missing
        for packet in container.demux(stream):
            if packet.is_corrupt:
                return
            if packet.size:  # the last one is empty
                yield packet


def decoded(packets: Iterator[av.Packet], stream) -> Iterator[av.VideoFrame]:
    """The frames of packets, also those that the decoder holds back to the end."""
    for packet in packets:
        yield from packet.decode()
    yield from stream.codec_context.decode(None)


def index_of(path: str) -> VideoIndex:
    """Reads a file through. Raises `av.FFmpegError` where it cannot be opened."""
    damaged = _is_cut_short(path)
    times, keys, last = [], set(), None
    with opened(path) as (container, stream):
        rate = float(stream.average_rate) if stream.average_rate else None
        # AVI holds no times of showing, and VP8 has packets that show nothing.
        if container.format.name == "avi" or stream.codec_context.codec.canonical_name == "vp8":
            try:
                for frame in decoded(whole_packets(container, stream), stream):
                    times.append(frame.pts)
                    if frame.key_frame:
                        keys.add(frame.pts)
            except av.FFmpegError:
                damaged = True
        else:
            for packet in whole_packets(container, stream):
                last = packet.dts
                if not packet.is_discard:  # outside of what the file's edit list shows
                    times.append(packet.pts)
                    if packet.is_keyframe:
                        keys.add(packet.pts)
            if None not in times:
                times.sort()
    ordered = None not in times and all(before < after for before, after in itertools.pairwise(times))
    if damaged and ordered and last is not None:
        # What is lost would be shown no earlier than it would be decoded: up to there, no frame is missing.
        times = times[: bisect.bisect_right(times, last)]
    positions = [index for index, time in enumerate(times) if time in keys] if ordered else []
    return VideoIndex(times, positions, ordered, damaged, rate)


def _is_cut_short(path: str) -> bool:
    """Whether the file ends before the length that its outermost boxes declare."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[:4] == b"\x1a\x45\xdf\xa3":  # Matroska: a header, then one segment
            start, header = _matroska_size(head, 4)
            end = start + (header or 0)
            if head[end : end + 4] != b"\x18\x53\x80\x67":
                return False
            start, segment = _matroska_size(head, end + 4)
            return segment is not None and start + segment > size
        position = 0
        while position + 8 <= size:
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0: up to the end of the file
                return False
            position += length
        return position > size


def _matroska_size(head: bytes, position: int) -> tuple[int, int | None]:
    """Where an element's content starts, and its length, None where it was unknown to the writer."""
    if position >= len(head) or head[position] == 0:
        return position, None
    octets = 9 - head[position].bit_length()
    mask = (1 << 7 * octets) - 1
    value = int.from_bytes(head[position : position + octets], "big") & mask
    return position + octets, None if value == mask else value
