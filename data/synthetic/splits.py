# SPDX-License-Identifier: Apache-2.0
"""The made-up videos and pictures to train on, and those held out to measure on, which stay the same for ever.

In: nothing. Out: sources. What is held out has its own seed, and its objects are recorded in ``held_out.json`` (made by
`record_held_out`), so that no version of a library can choose others.
"""

import functools
import json
import pathlib

import numpy as np

from data.synthetic.scenes import Object
from data.synthetic.source import VERSION, Casting, ClearPictures, ClearVideos, SyntheticPictures, SyntheticVideos
from sam2_jax.media.files import replacing

_TRAINING, _HELD_OUT = 1, 2  # seeds
_RECORD = pathlib.Path(__file__).with_name("held_out.json")
_FEW = dict(objects=(2, 3), in_first_frame=True)
_MAKERS = {  # by what each is recorded under
    "videos": functools.partial(SyntheticVideos, _HELD_OUT, name="synthetic_held_out", **_FEW),
    "pictures": functools.partial(SyntheticPictures, _HELD_OUT, name="synthetic_pictures_held_out"),
    "clear_videos": functools.partial(ClearVideos, _HELD_OUT, name="synthetic_clear_held_out", **_FEW),
    "clear_pictures": functools.partial(ClearPictures, _HELD_OUT, name="synthetic_clear_pictures_held_out"),
}


def training_videos(count: int = 100_000, frames: int = 24, size: int = 256) -> SyntheticVideos:
    """Videos of 1 to 6 objects, which need not be in sight in any one frame."""
    return SyntheticVideos(_TRAINING, count, frames=frames, size=size)


def training_pictures(count: int = 100_000, size: int = 256) -> SyntheticPictures:
    """Pictures of up to 24 objects."""
    return SyntheticPictures(_TRAINING, count, size=size)


def held_out_videos(size: int = 256) -> SyntheticVideos:
    """100 videos of 24 frames with 2 or 3 objects, each of which covers at least 0.3% of frame 0."""
    return _held_out("videos", size)


def held_out_pictures(size: int = 256) -> SyntheticPictures:
    """500 pictures of up to 24 objects."""
    return _held_out("pictures", size)


def clear_training_videos(count: int = 100_000, frames: int = 24, size: int = 256) -> ClearVideos:
    """Videos of 1 to 3 objects that are easy to see, each of which is in sight at first."""
    return ClearVideos(_TRAINING, count, "synthetic_clear", frames, size, objects=(1, 3), in_first_frame=True)


def clear_training_pictures(count: int = 100_000, size: int = 256) -> ClearPictures:
    """Pictures of up to 8 objects that are easy to see."""
    return ClearPictures(_TRAINING, count, "synthetic_clear_pictures", size)


def clear_held_out_videos(size: int = 256) -> ClearVideos:
    """100 videos of 24 frames with 2 or 3 objects that are easy to see: each covers at least 1.5% of frame 0."""
    return _held_out("clear_videos", size)


def clear_held_out_pictures(size: int = 256) -> ClearPictures:
    """500 pictures of up to 8 objects that are easy to see."""
    return _held_out("clear_pictures", size)


def record_held_out(videos: int = 100, pictures: int = 500) -> None:
    """Chooses the objects of what is held out anew: for a new `VERSION` alone."""
    counts = {"videos": videos, "pictures": pictures, "clear_videos": videos, "clear_pictures": pictures}
    record = {"version": VERSION}
    for kind, make in _MAKERS.items():
        source = make(counts[kind])
        record[kind] = [_line(source, index) for index in range(len(source))]
    with replacing(_RECORD) as file:
        file.write((json.dumps(record, indent=0) + "\n").encode())


def _held_out(kind: str, size: int) -> SyntheticVideos | SyntheticPictures:
    castings = _recorded(kind)
    return _MAKERS[kind](len(castings), size=size, castings=castings)


def _line(source: SyntheticVideos | SyntheticPictures, index: int) -> str:
    """The attempt, then actor, part and number of hidden frames of each object."""
    casting = source.casting(index)
    areas = np.array([source.areas(index, frame) for frame in range(source.length)])
    objects = zip(casting.objects, (areas == 0).sum(axis=0), strict=True)
    return " ".join([f"{casting.attempt}", *(f"{object_.actor}.{object_.part}.{count}" for object_, count in objects)])


def _recorded(kind: str) -> tuple[Casting, ...]:
    record = json.loads(_RECORD.read_text())
    if record["version"] != VERSION:
        raise ValueError(
            f"{_RECORD} is of version {record['version']}, but version {VERSION} is drawn: record it anew."
        )
    castings = []
    for line in record[kind]:
        attempt, *objects = line.split()
        numbers = [[int(number) for number in object_.split(".")] for object_ in objects]
        chosen = tuple(Object(actor, part) for actor, part, _ in numbers)
        castings.append(Casting(int(attempt), chosen, tuple(count for *_, count in numbers)))
    return tuple(castings)
