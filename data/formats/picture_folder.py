# SPDX-License-Identifier: Apache-2.0
"""Pictures of your own with masks drawn for them, as videos of one frame.

In: images/NAME.jpg (or .png), and for each either masks/NAME.png, where each palette index or grey value but 0 is an
object, or a folder masks/NAME of several PNG files, each the mask of one object. Out: a `Source`.
"""

import dataclasses
import os
from pathlib import Path

from data.formats.listing import PICTURES, files, listed_names, numbered_files
from data.formats.mask_files import ObjectFiles, count_objects
from data.formats.reading import picture_size
from data.formats.video_list import OpenVideo, PictureFiles, VideoList
from data.source import BrokenExample, Video


def picture_folder(
    root: str | os.PathLike, listed: str | os.PathLike | None = None, name: str = "pictures"
) -> VideoList:
    """The pictures in a folder's images, with the masks in its masks.

    The identity of an object is its palette index or grey value; where it has a file of its own, the number that names
    the file, or, where names are not all numbers, its place among them, from 1.

    Args:
        root: holds images and masks.
        listed: a text file of names, one a line, with or without suffixes: only those pictures.
        name: of the source.

    Raises:
        ValueError: there are no such folders, no pictures, or two of one name.
    """
    pictures, masks = Path(root) / "images", Path(root) / "masks"
    for folder in (pictures, masks):
        if not folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
    named = {}
    for file in files(pictures, PICTURES):
        stem = os.path.splitext(file)[0]
        if stem in named:
            raise ValueError(f"{pictures} holds {file} and {named[stem]}: of which are the masks {stem}?")
        named[stem] = file
    chosen = sorted(named) if listed is None else listed_names(listed)
    return VideoList(name, chosen, _Reader(pictures, masks, named).open)


@dataclasses.dataclass(frozen=True)
class _Reader:
    pictures: Path
    masks: Path
    files: dict[str, str]

    def open(self, stem: str) -> OpenVideo:
        if stem not in self.files:
            raise BrokenExample(f"{self.pictures} holds no picture {stem}.")
        path = str(self.pictures / self.files[stem])
        size = picture_size(path)
        if (self.masks / stem).is_dir():
            numbered = numbered_files(self.masks / stem, (".png",))
            objects = tuple(numbered)
            if not all(isinstance(number, int) for number in objects):
                objects = tuple(range(1, len(numbered) + 1))
            masks = ObjectFiles(size, {0: [str(self.masks / stem / file) for file in numbered.values()]})
        else:
            masks = count_objects({0: str(self.masks / f"{stem}.png")}, size)
            objects = masks.objects
        return OpenVideo(Video(stem, 1, *size, objects, (0,)), PictureFiles((path,)), masks)
