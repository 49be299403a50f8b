# SPDX-License-Identifier: Apache-2.0
"""Videos whose masks are one PNG for each object and frame, as in the validation and test splits of SA-V.

In: JPEGImages_24fps/VIDEO/00000.jpg and Annotations_6fps/VIDEO/000/00000.png, the latter on every fourth frame; what
is not black is the object, and objects may overlap. Out: a `Source`.
"""

import dataclasses
import os
from pathlib import Path

from data.formats.listing import listed_names, numbered_files, subfolders, video_folders
from data.formats.mask_files import ObjectFiles
from data.formats.reading import picture_size
from data.formats.video_list import OpenVideo, PictureFiles, VideoList
from data.source import BrokenExample, Video


def object_folders(
    root: str | os.PathLike,
    split: str | None = None,
    listed: str | os.PathLike | None = None,
    name: str = "object_folders",
) -> VideoList:
    """The videos of a data set in the manner of SA-V's validation and test splits.

    An object's identity is the number that names its folder. On a frame on which one object has a file, all have to
    have one: an object that is out of sight has an empty mask. (The published reader takes a missing file for one.)

    Args:
        root: holds JPEGImages and Annotations, or names that begin so, or a folder for each split that does.
        split: the name of such a folder, or of a list in ImageSets; None for all videos there are.
        listed: a text file of names, one a line: only those videos.
        name: of the source.

    Raises:
        ValueError: there are no such folders or lists, or no videos.
    """
    pictures, masks, names = video_folders(root, split, None)
    if listed is not None:
        names = listed_names(listed)
    elif names is None:
        names = subfolders(pictures)
    return VideoList(name, names, _Reader(pictures, masks, split).open)


@dataclasses.dataclass(frozen=True)
class _Reader:
    pictures: Path
    masks: Path
    split: str | None

    def open(self, name: str) -> OpenVideo:
        folder = self.masks / name
        pictures = numbered_files(self.pictures / name)
        place = {number: frame for frame, number in enumerate(pictures)}
        if not folder.is_dir():
            raise BrokenExample(f"The folder {folder} does not exist.")
        folders = subfolders(folder)
        if not folders or not all(object_name.isdecimal() for object_name in folders):
            found = ", ".join(folders) or "none"
            raise BrokenExample(f"{folder} was expected to hold a numbered folder for each object, but holds {found}.")
        masks = {}
        for object_name in folders:
            for number, file in numbered_files(folder / object_name, (".png",)).items():
                if number not in place:
                    raise BrokenExample(f"{folder / object_name / file} has no picture in {self.pictures / name}.")
                masks[place[number]] = file
        paths = tuple(os.path.join(self.pictures, name, file) for file in pictures.values())
        size = picture_size(paths[0])
        files = {
            frame: tuple(os.path.join(folder, object_name, masks[frame]) for object_name in folders)
            for frame in sorted(masks)
        }
        of_video = {} if self.split is None else {"split": self.split}
        facts = Video(name, len(paths), *size, tuple(map(int, folders)), tuple(files), of_video)
        return OpenVideo(facts, PictureFiles(paths), ObjectFiles(size, files))
