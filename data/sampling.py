# SPDX-License-Identifier: Apache-2.0
"""Which frames and which objects of a video make a training clip (sections D.2.1 and D.2.2).

In: a source, the number of a video, a rule, a random generator. Out: a `Clip`, numbers alone: nothing is decoded but
what `Source.areas` looks at. The same generator state gives the same clip.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from data.source import BrokenExample, Source, Video


@dataclasses.dataclass(frozen=True)
class ClipRule:
    """How clips are cut out of videos.

    Attributes:
        frames: T, so many annotated frames that follow each other; 1 for pictures.
        objects: O, at most so many objects, drawn from those in sight on the clip's first frame.
        reverse: the probability that a clip runs backward in time.
        smallest_share: an object that covers less of the first frame than this is not drawn.
        largest_share: nor is one that covers more.
        most_edited_half: draw only from the half of the source's objects whose masks people edited on the most
            frames (`most_edited_half`), as the stage with clips of 16 frames does.
    """

    frames: int = 8
    objects: int = 3
    reverse: float = 0.5
    smallest_share: float = 0.0
    largest_share: float = 1.0
    most_edited_half: bool = False

    def __post_init__(self):
        if self.frames < 1 or self.objects < 1:
            raise ValueError(
                f"A clip has at least 1 frame and 1 object, but {self.frames} frames and {self.objects} objects came."
            )
        if not 0 <= self.reverse <= 1 or not 0 <= self.smallest_share < self.largest_share <= 1:
            raise ValueError(
                "reverse is a probability, and smallest_share and largest_share are shares of the picture, from 0 to 1 "
                f"and in this order, but {self.reverse}, {self.smallest_share} and {self.largest_share} came."
            )


# Table 12: up to 64 masks of a picture, none over more than 90 % of it.
PICTURE_RULE = ClipRule(frames=1, objects=64, reverse=0.0, largest_share=0.9)
VIDEO_RULE = ClipRule()
LONG_VIDEO_RULE = ClipRule(frames=16, most_edited_half=True)


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames and objects of one video.

    Attributes:
        video: its number in the source.
        frames: T indices of frames, descending where time runs backward.
        objects: 1 to O places in `Video.objects`, ascending; each is in sight on the first of the frames.
    """

    video: int
    frames: tuple[int, ...]
    objects: tuple[int, ...]


def sample_clip(
    source: Source,
    index: int,
    rule: ClipRule,
    generator: np.random.Generator,
    candidates: Sequence[int] | None = None,
) -> Clip | None:
    """Draws a clip: a start and a direction such that an object is in sight on the first frame, then the objects.

    Every start and direction that will do is as likely as `rule.reverse` says, however many have to be tried.

    Args:
        source: the source.
        index: which of its videos.
        rule: how to cut.
        generator: where every draw comes from.
        candidates: the places of the objects that may be drawn; None for all.

    Returns:
        The clip; None where the video has fewer than T annotated frames, or no frame that could be the first with an
        object in sight. Like the published sampler's failures, these ask for another video.
    """
    video = source.video(index)
    starts = len(video.annotated) - rule.frames + 1
    if starts < 1:
        return None
    directions = np.array([1 - rule.reverse, rule.reverse] if rule.frames > 1 else [1.0, 0.0])
    # The order of a race with these rates is that of drawing without replacement.
    with np.errstate(divide="ignore"):
        arrivals = generator.exponential(size=(starts, 2)) / directions
    order = np.argsort(arrivals, axis=None, kind="stable")
    for choice in order[: np.count_nonzero(np.isfinite(arrivals))]:
        start, backward = divmod(int(choice), 2)
        frames = video.annotated[start : start + rule.frames][:: -1 if backward else 1]
        objects = _drawable(source.areas(index, frames[0]), video, rule, candidates)
        if len(objects):
            drawn = generator.choice(objects, min(len(objects), rule.objects), replace=False)
            return Clip(index, tuple(frames), tuple(sorted(drawn.tolist())))
    return None


def most_edited_half(
    source: Source, on_broken: Callable[[BrokenExample], None] | None = None
) -> dict[int, tuple[int, ...]]:
    """The half of a source's objects with the most edited frames: by video, the places of those in it.

    Objects edited equally often go in the order of the videos. Videos without such an object are not in the result.
    The annotations of every video are opened for this, once.

    Args:
        source: the source.
        on_broken: told of videos that cannot be opened, which are left out; without it, the first of them is raised.

    Raises:
        ValueError: the source does not say how many frames were edited (`Video.of_objects["edited_frames"]`).
        BrokenExample: a video cannot be opened.
    """
    edited = []
    for index in range(len(source)):
        try:
            video = source.video(index)
        except BrokenExample as error:
            if on_broken is None:
                raise
            on_broken(error)
            continue
        if "edited_frames" not in video.of_objects:
            raise ValueError(
                f"{source.name} does not say on how many frames the objects of {video.name} were edited, so there is "
                "no most edited half of them; set most_edited_half=False."
            )
        edited += [(-count, index, place) for place, count in enumerate(video.of_objects["edited_frames"])]
    half: dict[int, list[int]] = {}
    for _, index, place in sorted(edited)[: -(-len(edited) // 2)]:
        half.setdefault(index, []).append(place)
    return {index: tuple(sorted(half[index])) for index in sorted(half)}


def _drawable(areas: np.ndarray, video: Video, rule: ClipRule, candidates: Sequence[int] | None) -> np.ndarray:
    pixels = video.height * video.width
    drawable = (areas > 0) & (areas >= rule.smallest_share * pixels) & (areas <= rule.largest_share * pixels)
    if candidates is not None:
        drawable &= np.isin(np.arange(len(areas)), candidates)
    return np.flatnonzero(drawable)
