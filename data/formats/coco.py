# SPDX-License-Identifier: Apache-2.0
"""Pictures with the annotations of COCO's instances, as videos of one frame; what most tools for labelling export.

In: a JSON file with images, annotations (polygons or run-length encoded masks) and categories, and the folder of the
pictures. Out: a `Source`.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

from data.formats import rle
from data.formats.listing import listed_names
from data.formats.reading import field, naming, read_json
from data.formats.video_list import OpenVideo, PictureFiles, Segments, VideoList
from data.source import BrokenExample, Video


def coco(
    annotations: str | os.PathLike,
    pictures: str | os.PathLike | None = None,
    listed: str | os.PathLike | None = None,
    name: str = "coco",
) -> VideoList:
    """The pictures of a COCO file that have annotations.

    An object's identity is its annotation's `id`. `Video.of_objects` holds the `category` and, from `iscrowd`, `crowd`:
    in COCO itself such a mask covers many objects at once, while other tools mark every run-length encoded mask so.

    Args:
        annotations: the JSON file. It is read whole; what is kept of it takes about as many bytes as the file.
        pictures: the folder that the file's names of pictures start from; that of the JSON file without it.
        listed: a text file of names, one a line, with or without suffixes: only those pictures.
        name: of the source.

    Raises:
        BrokenExample: the file cannot be read, or an annotation is of a picture that it does not list.
        ValueError: there is no such folder, or no picture has annotations.
    """
    path = Path(annotations)
    folder = path.parent if pictures is None else Path(pictures)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    content = read_json(path)
    categories = {
        field(category, "id", int, path): field(category, "name", str, path)
        for category in content.get("categories") or []
    }
    by_picture: dict[int | str, list] = {}
    for picture in field(content, "images", list, path):
        by_picture[field(picture, "id", (int, str), path)] = []
    for annotation in field(content, "annotations", list, path):
        identity = field(annotation, "id", int, path)
        of_picture = field(annotation, "image_id", (int, str), path)
        if of_picture not in by_picture:
            raise BrokenExample(f"{path} does not list the picture {of_picture} of its annotation {identity}.")
        category = categories.get(annotation.get("category_id"), "")
        crowd = bool(annotation.get("iscrowd", False))
        by_picture[of_picture].append((identity, category, crowd, annotation.get("segmentation")))
    records = {}
    for picture in content["images"]:
        of_picture = by_picture[picture["id"]]
        file = field(picture, "file_name", str, path)
        stem = os.path.splitext(file)[0]
        if stem in records:
            raise BrokenExample(f"{path} has several pictures {stem}.")
        if of_picture:
            size = field(picture, "height", int, path), field(picture, "width", int, path)
            # As text, annotations take a quarter of the memory that they take as lists of numbers.
            records[stem] = _Record(os.path.join(folder, file), size, json.dumps(of_picture).encode())
    chosen = sorted(records) if listed is None else listed_names(listed)
    return VideoList(name, chosen, _Reader(path, records).open)


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """A picture; `annotations` is a list of (identity, category, crowd, segmentation) as JSON."""

    path: str
    size: tuple[int, int]
    annotations: bytes


@dataclasses.dataclass(frozen=True)
class _Reader:
    path: Path
    records: Mapping[str, _Record]

    def open(self, stem: str) -> OpenVideo:
        if stem not in self.records:
            raise BrokenExample(f"{self.path} has no picture {stem} with annotations.")
        record = self.records[stem]
        objects, categories, crowds, segmentations = zip(*json.loads(record.annotations))
        places = [f"{self.path}, annotation {identity} of {record.path}" for identity in objects]
        segments = []
        for place, segmentation in zip(places, segmentations):
            with naming(place):
                if not isinstance(segmentation, dict):
                    counts = rle.polygon_counts(segmentation, record.size)
                    segmentation = {"size": list(record.size), "counts": counts}
            segments.append(segmentation)
        of_objects = {"category": categories, "crowd": crowds}
        facts = Video(stem, 1, *record.size, objects, (0,), of_objects=of_objects)
        return OpenVideo(facts, PictureFiles((record.path,)), Segments(record.size, {0: segments}, places))
