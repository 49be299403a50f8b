# SPDX-License-Identifier: Apache-2.0
"""What the folders of a data set hold: videos, frames, lists of names. Each folder is read once, and no file opened.

In: folders. Out: names in the order in which they count.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from data.source import BrokenExample

PICTURES = (".jpg", ".jpeg", ".png")
RESOLUTIONS = ("480p", "1080p", "Full-Resolution")  # the folders between JPEGImages and the videos of DAVIS
_SUFFIXES = (*PICTURES, ".mp4", ".json")


def subfolders(folder: str | os.PathLike) -> list[str]:
    """The names of the folders in a folder, sorted; hidden ones are none."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def files(folder: str | os.PathLike, suffixes: Sequence[str]) -> list[str]:
    """The names of the files in a folder that end in one of the suffixes, whatever the case; hidden ones are none."""
    suffixes = tuple(suffixes)
    with os.scandir(folder) as entries:
        return [e.name for e in entries if e.name.lower().endswith(suffixes) and not e.name.startswith(".")]


def numbered_files(folder: str | os.PathLike, suffixes: Sequence[str] = PICTURES) -> dict[int | str, str]:
    """The files of a folder in the order of a video: by number, or as people sort, frame_2 before frame_10.

    Returns:
        The files' names by their numbers, or, where they are none, by their names without the suffix.

    Raises:
        BrokenExample: there is no such folder, it holds no such files, or two of one number.
    """
    try:
        names = files(folder, suffixes)
    except (FileNotFoundError, NotADirectoryError):
        raise BrokenExample(f"The folder {folder} does not exist.") from None
    if not names:
        raise BrokenExample(f"The folder {folder} holds no {' or '.join(suffixes)} files.")
    numbered = {}
    for name in sorted(names, key=_natural):
        stem = os.path.splitext(name)[0]
        number = int(stem) if stem.isdecimal() else stem
        if number in numbered:
            raise BrokenExample(f"{folder} holds both {numbered[number]} and {name}: which is frame {number}?")
        numbered[number] = name
    return numbered


def listed_names(path: str | os.PathLike) -> list[str]:
    """The names in a text file, one a line, sorted; with or without the suffix of a file."""
    lines = {line.strip() for line in Path(path).read_text().splitlines()} - {""}
    return sorted({os.path.splitext(line)[0] if line.lower().endswith(_SUFFIXES) else line for line in lines})


def video_folders(
    root: str | os.PathLike, split: str | None, resolution: str | None
) -> tuple[Path, Path, list[str] | None]:
    """Where a data set in the manner of DAVIS keeps the frames and the masks of its videos.

    Args:
        root: holds JPEGImages and Annotations, or such names that begin so, or a folder for each split that does.
        split: the name of such a folder, or of a list in ImageSets; None for every video that is there.
        resolution: the folder between JPEGImages and the videos, as 480p; None where there is none, or one.

    Returns:
        The folder of the frames' folders, that of the masks', and the names in the list of the split, if there is one.

    Raises:
        ValueError: the folders, or the list, cannot be found, or there are several. The sentence says what is there.
    """
    root, names = Path(root), None
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}.")
    base = root
    if split is not None and (root / split).is_dir():
        base = root / split
    elif split is not None:
        lists = [root / folder / f"{split}.txt" for folder in ("ImageSets/2017", "ImageSets", "")]
        found = next((path for path in lists if path.is_file()), None)
        if found is None:
            raise ValueError(f"{root} has no split {split!r}: neither a folder {split} nor a list like {lists[0]}.")
        names = listed_names(found)
    pictures, masks = (_one_folder(base, beginning) for beginning in ("JPEGImages", "Annotations"))
    resolutions = [name for name in RESOLUTIONS if (pictures / name).is_dir()]
    if resolution is None and len(resolutions) > 1:
        raise ValueError(f"{pictures} holds {' and '.join(resolutions)}: say which resolution to read.")
    resolution = resolution or next(iter(resolutions), None)
    if resolution is not None:
        pictures, masks = pictures / resolution, masks / resolution
    for folder in (pictures, masks):
        if not folder.is_dir():
            raise ValueError(f"There is no folder {folder}.")
    return pictures, masks, names


def _one_folder(base: Path, beginning: str) -> Path:
    """The folder of that name, or else the only one that begins with it, as JPEGImages_24fps."""
    names = subfolders(base)
    beginnings = [beginning] if beginning in names else [name for name in names if name.startswith(beginning)]
    if len(beginnings) != 1:
        found = ", ".join(beginnings or names) or "no folder"
        raise ValueError(f"One folder {beginning} or {beginning}_* was expected in {base}, but it holds {found[:200]}.")
    return base / beginnings[0]


def _natural(name: str) -> list:
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
