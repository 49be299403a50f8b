# SPDX-License-Identifier: Apache-2.0
"""Interactive segmentation (sections 6.1 and F.1.2): a user who clicks on several frames, offline and online.

In: a `Session` on a clip. Out: the score of each object after each round, and the frames that were clicked on. The
annotation time of a round is that of the paper's model.
"""

import dataclasses
from concurrent.futures import Executor

import numpy as np

from sam2_jax.evaluation.clip_scores import ClipScores, WorstMask
from sam2_jax.evaluation.clips import NEVER, Clip
from sam2_jax.evaluation.masklets import SA_V, MaskletScore, Rules
from sam2_jax.evaluation.session import Session, masks_of

LEAST_IOU = 0.75  # online: below it the user stops the video

# The model of annotation time (section F.1.2), seconds: to examine 300 frames, to find the object on one, to click.
EXAMINE_300_FRAMES = 30.0
LOCATE = 1.0
CLICK = 1.5


@dataclasses.dataclass(frozen=True)
class Rounds:
    """What a clip's objects gained from each frame that was clicked on.

    Attributes:
        scores: by round, the score of each object; None for one that does not count.
        prompted: by object, the frames that were clicked on, in order. There may be fewer than rounds: a mask that is
            right everywhere, or nowhere bad enough, needs no click.
        worst: the worst mask after the last round.
    """

    scores: list[list[MaskletScore | None]]
    prompted: list[list[int]]
    worst: WorstMask | None


def offline(
    session: Session,
    clip: Clip,
    threads: Executor,
    rounds: int = 8,
    clicks: int = 3,
    overlap: bool = True,
    rules: Rules = SA_V,
) -> Rounds:
    """Several passes: after each, the user clicks on the frame of lowest IoU, and all prompts are carried again.

    Each object begins with clicks on its first frame of sight. Of equally bad frames the first is chosen; a frame is
    clicked on in one round only.
    """
    scores, frames = [], clip.starts
    for _ in range(rounds):
        if (frames == NEVER).all():
            scores.append(scores[-1])  # no object is wrong anywhere
            continue
        session.click(frames, clicks)
        passed, worst = ClipScores(clip, threads, rules), _Worst(session.prompted())
        for tracked in session.track():
            worst.look(tracked.frame, tracked.ious)
            passed.add(tracked.frame, masks_of(tracked.logits, clip.size, overlap))
        scores.append(passed)
        frames = worst.frames
    return Rounds([passed.result() for passed in scores], session.prompted(), scores[-1].worst)


def online(
    session: Session,
    clip: Clip,
    threads: Executor,
    rounds: int = 8,
    clicks: int = 3,
    least_iou: float = LEAST_IOU,
    overlap: bool = True,
    rules: Rules = SA_V,
) -> Rounds:
    """One pass for each budget of frames: where the IoU falls below the least, the user clicks, and goes on from there.

    What comes before a frame is not changed by clicks on it. With a budget of 1 only the first frame is clicked on.
    """
    session.click(clip.starts, clicks)
    scores: list[ClipScores | None] = [None] * rounds
    prompted, budget = None, rounds
    while budget > 0:
        passed = ClipScores(clip, threads, rules)
        for tracked in session.track_and_pause(least_iou, budget, clicks):
            passed.add(tracked.frame, masks_of(tracked.logits, clip.size, overlap))
        if prompted is None:
            prompted = session.prompted()
        # A budget that nobody used up was no limit: smaller ones would have done the same.
        used = max(len(frames) for frames in session.prompted())
        for enough in range(used, budget + 1):
            scores[enough - 1] = passed
        budget = used - 1
    return Rounds([passed.result() for passed in scores], prompted, scores[-1].worst)


def annotation_seconds(length: int, rounds: int, clicks: int = 3, mode: str = "offline") -> float:
    """How long a person takes for one object of a video: a number of rounds of some clicks each (section F.1.2).

    Offline the video is examined in each round; online once, while it is annotated.
    """
    examine = EXAMINE_300_FRAMES * length / 300
    annotate = LOCATE + CLICK * clicks
    return (examine + annotate) * rounds if mode == "offline" else examine + annotate * rounds


class _Worst:
    """The frame of lowest IoU of each object, but for those that were prompted, and those where nothing is wrong."""

    def __init__(self, prompted: list[list[int]]):
        self._prompted = [set(frames) for frames in prompted]
        self._ious = np.ones(len(prompted))
        self.frames = np.full(len(prompted), NEVER)

    def look(self, frame: int, ious: np.ndarray) -> None:
        may = np.array([frame not in prompted for prompted in self._prompted])
        worse = may & (ious < self._ious)  # NaN is no worse than anything
        self._ious[worse] = ious[worse]
        self.frames[worse] = frame
