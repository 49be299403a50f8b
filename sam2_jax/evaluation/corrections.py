# SPDX-License-Identifier: Apache-2.0
"""What a correction is worth: the masks after a frame where an object was lost, before and after clicks on that frame.

In: a `Session` on a clip. Out: a `Correction` for each object that was lost.
"""

import dataclasses
from concurrent.futures import Executor

import numpy as np

from sam2_jax.evaluation.clip_scores import ClipScores
from sam2_jax.evaluation.clips import NEVER, Clip
from sam2_jax.evaluation.masklets import Rules
from sam2_jax.evaluation.session import Session, masks_of
from sam2_jax.evaluation.vos import prompt_first_frames

LOST = 0.5  # J below which an object is lost


@dataclasses.dataclass(frozen=True)
class Correction:
    """What clicks on one frame changed for one object.

    Attributes:
        frame: where it was lost first, and clicked on.
        before, after: J&F, 0 to 1, the mean of the frames after that one, without the clicks and with them.
    """

    frame: int
    before: float
    after: float


def correct(
    session: Session, clip: Clip, threads: Executor, prompt: str = "mask", clicks: int = 1, lost: float = LOST
) -> list[Correction | None]:
    """Carries objects from their first frames, clicks on each where it was lost first, and carries all prompts again.

    Args:
        prompt: on first frames, as of `vos.segment_clip`.
        clicks: on the lost frame, at the centre of what is wrong.

    Returns:
        For each object; None for one that was never lost, or only where no annotated frame follows.
    """
    prompt_first_frames(session, clip, prompt)
    before, in_truth = _pass(session, clip, threads)
    frames, annotated = np.full(len(clip.objects), NEVER), np.array(clip.annotated)
    for place, start in enumerate(clip.starts):
        bad = (before[0][:-1, place] < lost) & in_truth[:-1, place] & (annotated[:-1] > start)
        if bad.any():
            frames[place] = annotated[bad.argmax()]
    if (frames == NEVER).all():
        return [None] * len(frames)
    session.click(frames, clicks)
    after, _ = _pass(session, clip, threads)
    return [
        None if frame == NEVER else _compare(int(frame), place, annotated, before, after)
        for place, frame in enumerate(frames)
    ]


def _pass(session: Session, clip: Clip, threads: Executor) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """J and F, and whether it is there, of each object on each annotated frame, all (A, O)."""
    scores = ClipScores(clip, threads, Rules(keep_first_and_last=True))
    for tracked in session.track():
        scores.add(tracked.frame, masks_of(tracked.logits, clip.size))
    j, f, in_truth, _ = scores.by_frame()
    return (j, f), in_truth


def _compare(frame: int, place: int, annotated: np.ndarray, before, after) -> Correction:
    later = annotated > frame
    means = (float(np.mean([values[later, place] for values in scores])) for scores in (before, after))
    return Correction(frame, *means)
