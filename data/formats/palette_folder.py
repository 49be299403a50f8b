# SPDX-License-Identifier: Apache-2.0
"""Videos whose masks are one palette PNG a frame, as in DAVIS, MOSE, YouTube-VOS, LVOS and VOST.

In: JPEGImages/VIDEO/00000.jpg and Annotations/VIDEO/00000.png, the latter on all frames or some; an index of the
palette is an object, and 0 is none. Out: a `Source`. Its frames are the pictures there are, numbered from 0 on.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

from data.formats.listing import listed_names, numbered_files, subfolders, video_folders
from data.formats.mask_files import LabelFiles, count_objects
from data.formats.reading import field, picture_size, read_json
from data.formats.video_list import OpenVideo, PictureFiles, VideoList
from data.source import BrokenExample, Video

# Without a meta.json, only all mask files of a video together tell its objects. What they told is kept: some kilobytes
# a video, against a quarter of a second to decode 60 of 1920 x 1080 pixels.
_KEPT = 4096


def palette_folder(
    root: str | os.PathLike,
    split: str | None = None,
    resolution: str | None = None,
    listed: str | os.PathLike | None = None,
    void: int | None = None,
    name: str = "palette",
) -> VideoList:
    """The videos of a data set in the manner of DAVIS.

    The objects are those that a meta.json lists (YouTube-VOS, LVOS), with their categories, and else all that occur in
    the mask files. An object is in sight where its index occurs, so that one may appear late. Where it can be told,
    `Video.of_objects` says which were `seen` in training: those whose categories are in the meta.json of the split
    train, or whose videos are not in a list unseen_videos.txt.

    Args:
        root: holds JPEGImages and Annotations, or a folder for each split that does.
        split: the name of such a folder, or of a list in ImageSets or ImageSets/2017; None for all videos there are.
        resolution: for DAVIS, as "480p" or "Full-Resolution".
        listed: a text file of names, one a line: only those videos.
        void: an index that stands for no object; 255 in DAVIS, LVOS and VOST.
        name: of the source.

    Raises:
        ValueError: there are no such folders or lists, or no videos.
        BrokenExample: a meta.json is damaged.
    """
    root = Path(root)
    pictures, masks, names = video_folders(root, split, resolution)
    if listed is not None:
        names = listed_names(listed)
    elif names is None:
        names = subfolders(pictures)
    reader = _Reader(pictures, masks, _read_meta(root, split), _unseen_videos(root, split), void, split)
    return VideoList(name, names, reader.open, _KEPT)


@dataclasses.dataclass(frozen=True)
class _Meta:
    """What a meta.json says: by video and object the category, or None; and the categories that were seen."""

    path: Path
    videos: Mapping[str, Mapping[int, str | None]]
    seen: frozenset[str] | None


@dataclasses.dataclass(frozen=True)
class _Reader:
    pictures: Path
    masks: Path
    meta: _Meta | None
    unseen_videos: frozenset[str] | None
    void: int | None
    split: str | None

    def open(self, name: str) -> OpenVideo:
        pictures, masks = numbered_files(self.pictures / name), numbered_files(self.masks / name, (".png",))
        place = {number: frame for frame, number in enumerate(pictures)}
        for number, file in masks.items():
            if number not in place:
                raise BrokenExample(f"{self.masks / name / file} has no picture in {self.pictures / name}.")
        paths = tuple(os.path.join(self.pictures, name, file) for file in pictures.values())
        mask_paths = {place[number]: os.path.join(self.masks, name, file) for number, file in masks.items()}
        size, of_objects = picture_size(paths[0]), {}
        if self.meta is None:
            files = count_objects(mask_paths, size, self.void)
        else:
            objects, of_objects = self._objects_of(name)
            files = LabelFiles(size, objects, mask_paths, self.void)
        if self.unseen_videos is not None:
            of_objects["seen"] = (name not in self.unseen_videos,) * len(files.objects)
        of_video = {} if self.split is None else {"split": self.split}
        facts = Video(name, len(paths), *size, files.objects, tuple(sorted(mask_paths)), of_video, of_objects)
        return OpenVideo(facts, PictureFiles(paths), files)

    def _objects_of(self, name: str) -> tuple[tuple[int, ...], dict[str, tuple]]:
        if name not in self.meta.videos:
            raise BrokenExample(f"{self.meta.path} does not know the video {name}.")
        categories = dict(sorted(self.meta.videos[name].items()))
        of_objects = {}
        if categories and None not in categories.values():
            of_objects["category"] = tuple(categories.values())
            if self.meta.seen is not None:
                of_objects["seen"] = tuple(category in self.meta.seen for category in categories.values())
        return tuple(categories), of_objects


def _read_meta(root: Path, split: str | None) -> _Meta | None:
    """The first file that lists objects of videos, where the data sets put theirs."""
    paths = [root / "meta.json"]
    if split is not None:
        paths = [root / split / "meta.json", root / f"{split}_meta.json", root / f"meta_{split}.json", *paths]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    videos = _objects_in(path)
    if videos is None:
        return None
    training, seen = root / "train" / "meta.json", None
    if training.is_file() and split != "train":
        seen = {category for objects in (_objects_in(training) or {}).values() for category in objects.values()}
    return _Meta(path, videos, None if seen is None else frozenset(seen))


def _objects_in(path: Path) -> dict[str, dict[int, str | None]] | None:
    """By video and object the category; None where the file does not speak of objects, as that of MOSE."""
    result, videos = {}, read_json(path).get("videos")
    if not isinstance(videos, dict):
        return None
    for name, video in videos.items():
        if not isinstance(video, dict) or "objects" not in video:
            return None
        objects = field(video, "objects", dict, path)
        if not all(number.isdecimal() for number in objects):
            raise BrokenExample(f"{path} has objects of {name} whose names are no numbers: {', '.join(objects)[:80]}.")
        result[name] = {
            int(number): told.get("category") if isinstance(told, dict) else None for number, told in objects.items()
        }
    return result


def _unseen_videos(root: Path, split: str | None) -> frozenset[str] | None:
    for folder in [root] if split is None else [root / split, root]:
        path = folder / "unseen_videos.txt"
        if path.is_file():
            return frozenset(listed_names(path))
    return None
