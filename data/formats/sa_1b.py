# SPDX-License-Identifier: Apache-2.0
"""SA-1B: pictures with run-length encoded masks of everything on them, as videos of one frame.

In: sa_1.jpg and sa_1.json side by side, in one folder or in folders of it as they were unpacked. Out: a `Source`.
"""

import dataclasses
import os
from pathlib import Path

from data.formats.listing import files, listed_names, subfolders
from data.formats.reading import field, read_json
from data.formats.video_list import OpenVideo, PictureFiles, Segments, VideoList
from data.source import Video


def sa_1b(root: str | os.PathLike, listed: str | os.PathLike | None = None, name: str = "sa_1b") -> VideoList:
    """The pictures of SA-1B that are there, or of any data in its layout.

    An object's identity is its annotation's `id`. `Video.of_objects` holds what the data set says of how good each mask
    is: `predicted_iou` and `stability_score`.

    Args:
        root: the folder of the files, or of folders of them.
        listed: a text file of names (sa_1), one a line: only those pictures.
        name: of the source.

    Raises:
        ValueError: there is no such folder, or no pictures in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}.")
    stems = {}
    for folder in ["", *subfolders(root)]:
        for file in files(root / folder, (".jpg",)):
            stem = os.path.splitext(file)[0]
            stems[stem] = os.path.join(folder, stem)
    pictures = sorted(stems) if listed is None else listed_names(listed)
    names = [stems.get(picture, picture) for picture in pictures]
    return VideoList(name, names, _Reader(root).open, name_of=os.path.basename)


@dataclasses.dataclass(frozen=True)
class _Reader:
    root: Path

    def open(self, stem: str) -> OpenVideo:
        path = f"{self.root / stem}.json"
        content = read_json(path)
        picture = field(content, "image", dict, path)
        size = field(picture, "height", int, path), field(picture, "width", int, path)
        annotations = field(content, "annotations", list, path)
        objects = tuple(field(annotation, "id", int, path) for annotation in annotations)
        of_objects = {
            fact: tuple(field(annotation, fact, (int, float), path) for annotation in annotations)
            for fact in ("predicted_iou", "stability_score")
            if annotations and fact in annotations[0]
        }
        segments = [field(annotation, "segmentation", dict, path) for annotation in annotations]
        facts = Video(os.path.basename(stem), 1, *size, objects, (0,), of_objects=of_objects)
        places = [f"{path}, annotation {identity}" for identity in objects]
        return OpenVideo(facts, PictureFiles((f"{self.root / stem}.jpg",)), Segments(size, {0: segments}, places))
