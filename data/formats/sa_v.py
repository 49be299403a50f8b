# SPDX-License-Identifier: Apache-2.0
"""The training split of SA-V (section 5.2): videos of 24 frames a second with run-length encoded masks on every fourth.

In: VIDEO.mp4, VIDEO_manual.json and VIDEO_auto.json, in one folder or in folders of it as they were unpacked; or
frames as picture files, extracted once, instead of the MP4. Out: a `Source`.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from data.formats.listing import files, listed_names, numbered_files, subfolders
from data.formats.reading import breaking, field, numbers, read_json
from data.formats.video_list import OpenVideo, PictureFiles, Pictures, Segments, VideoList
from data.source import BrokenExample, Video
from sam2_jax.media.videos import open_video

Masklets = Literal["manual", "auto", "both"]
STEP = 4  # masks are on every fourth frame


def sa_v(
    root: str | os.PathLike,
    masklets: Masklets = "manual",
    pictures: str | os.PathLike | None = None,
    listed: str | os.PathLike | None = None,
    name: str = "sa_v",
) -> VideoList:
    """The videos of SA-V's training split that have masklets of the chosen kind.

    A masklet that is null on a frame is out of sight there, and a frame that is null as a whole is not annotated.
    `Video.of_objects` holds `edited_frames`, the frames on which people corrected a masklet (0 for automatic ones),
    and `automatic`; `Video.of_video` holds `split` and `environment`.

    Args:
        root: the folder of the files, or of folders of them.
        masklets: "manual", as the paper trains with, "auto", or "both": then the manual ones come first, and the
            automatic ones, if there are any, are numbered on from them.
        pictures: holds a folder VIDEO for each, with its frames as pictures named by their numbers in the MP4 (00000,
            00004, ...): all of them or only those with masks. The frames of the source are then these.
        listed: a text file of names, one a line: only those videos.
        name: of the source.

    Raises:
        ValueError: there is no such folder, or no such files in it.
    """
    if masklets not in ("manual", "auto", "both"):
        raise ValueError(f"masklets is manual, auto or both, but {masklets!r} came.")
    for folder in (root, pictures):
        if folder is not None and not Path(folder).is_dir():
            raise ValueError(f"There is no folder {folder}.")
    ending = "_auto.json" if masklets == "auto" else "_manual.json"
    stems = {}
    for folder in ["", *subfolders(root)]:
        for file in files(Path(root) / folder, (ending,)):
            stems[file.removesuffix(ending)] = os.path.join(folder, file.removesuffix(ending))
    if not stems:
        raise ValueError(f"{root} holds no files *{ending}, nor do its folders.")
    videos = sorted(stems) if listed is None else listed_names(listed)
    reader = _Reader(Path(root), masklets, None if pictures is None else Path(pictures))
    return VideoList(name, [stems.get(video, video) for video in videos], reader.open, name_of=os.path.basename)


@dataclasses.dataclass(frozen=True)
class _Annotations:
    """A _manual.json or an _auto.json; `rows` are (annotated frames, masklets) segments, None where there is none."""

    path: str
    size: tuple[int, int]
    frames: int
    rows: list[list | None]
    identities: list[int]
    edited_frames: list[int]
    of_video: dict[str, str]


def _read_annotations(path: str) -> _Annotations:
    content = read_json(path)
    height, width, frames = (
        int(field(content, f"video_{fact}", (int, float), path)) for fact in ("height", "width", "frame_count")
    )
    rows = field(content, "masklet", list, path)
    identities, edited = (
        [int(number) for number in numbers(content, f"masklet_{fact}", path)] for fact in ("id", "edited_frame_count")
    )
    if len(edited) != len(identities):
        raise BrokenExample(f"{path} has {len(identities)} masklets, but the edited frames of {len(edited)}.")
    for index, row in enumerate(rows):
        if row is not None and (not isinstance(row, list) or len(row) != len(identities)):
            raise BrokenExample(f"{path} has {len(identities)} masklets, but not as many on frame {STEP * index}.")
    if STEP * (len(rows) - 1) >= frames:
        raise BrokenExample(f"{path} has masks on frame {STEP * (len(rows) - 1)}, but {frames} frames.")
    of_video = {}
    for fact in ("environment", "split"):
        told = content.get(f"video_{fact}")
        if isinstance(told, str):
            of_video[fact] = told
    return _Annotations(path, (height, width), frames, rows, identities, edited, of_video)


@dataclasses.dataclass(frozen=True)
class _Reader:
    root: Path
    masklets: Masklets
    extracted: Path | None

    def open(self, stem: str) -> OpenVideo:
        parts = [_read_annotations(f"{self.root / stem}_{kind}.json") for kind in self._kinds(stem)]
        first, name = parts[0], os.path.basename(stem)
        for part in parts:
            if (part.size, part.frames, len(part.rows)) != (first.size, first.frames, len(first.rows)):
                raise BrokenExample(f"{part.path} and {first.path} differ in the size or the frames of the video.")
        objects, edited, automatic, places = [], [], [], []
        for part in parts:
            offset = max(objects, default=-1) + 1
            objects += [offset + identity for identity in part.identities]
            edited += part.edited_frames
            automatic += [part.path.endswith("_auto.json")] * len(part.identities)
            places += [f"{part.path}, masklet {identity}" for identity in part.identities]
        rows = {}
        for index, row in enumerate(zip(*(part.rows for part in parts))):
            if None not in row:
                rows[index * STEP] = [segment for segments in row for segment in segments]

        frames, pictures = first.frames, _Film(f"{self.root / stem}.mp4", first.size, max(rows, default=0))
        if self.extracted is not None:
            frames, pictures, rows = _extracted(self.extracted / name, rows)
        facts = Video(
            name,
            frames,
            *first.size,
            objects=tuple(objects),
            annotated=tuple(rows),
            of_video=first.of_video,
            of_objects={"edited_frames": tuple(edited), "automatic": tuple(automatic)},
        )
        return OpenVideo(facts, pictures, Segments(first.size, rows, places))

    def _kinds(self, stem: str) -> list[str]:
        if self.masklets != "both":
            return [self.masklets]
        # One video in twenty-four has no automatic masklets.
        return ["manual", "auto"] if os.path.exists(f"{self.root / stem}_auto.json") else ["manual"]


@dataclasses.dataclass(frozen=True)
class _Film:
    """`Pictures` that are frames of a video file of `size` (H, W), which has to have a frame `last`."""

    path: str
    size: tuple[int, int]
    last: int

    def read(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        # It is opened each time, for what some thirty frames take to decode: an open decoder keeps many of them.
        with breaking(self.path):
            film = open_video(self.path)
            if (film.height, film.width) != self.size:
                raise BrokenExample(
                    f"{self.path} has {film.width} x {film.height} pixels, but its annotations are for "
                    f"{self.size[1]} x {self.size[0]}."
                )
            if film.length <= self.last:
                raise BrokenExample(f"{self.path} has {film.length} frames, but there are masks on frame {self.last}.")
            for frame in frames:
                yield film.frame(frame)

    def jpeg(self, frame: int) -> None:
        return None


def _extracted(folder: Path, rows: dict[int, list]) -> tuple[int, Pictures, dict[int, list]]:
    """How many pictures a folder holds, the pictures, and the rows by the places of theirs."""
    pictures = numbered_files(folder)
    place = {number: frame for frame, number in enumerate(pictures)}
    for number in rows:
        if number not in place:
            raise BrokenExample(f"The folder {folder} holds no picture of frame {number}, which has masks.")
    paths = tuple(os.path.join(folder, file) for file in pictures.values())
    return len(paths), PictureFiles(paths), {place[number]: row for number, row in rows.items()}
