# SPDX-License-Identifier: Apache-2.0
"""Semi-supervised video object segmentation (sections 6.2, 7 and F.1.3): prompts on first frames alone.

In: a `Session` on a clip, and the kind of prompt. Out: the score of each object, and its masks frame by frame.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor

import numpy as np

from sam2_jax.evaluation.clip_scores import ClipScores, WorstMask
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.masklets import SA_V, MaskletScore, Rules
from sam2_jax.evaluation.session import Session, masks_of

CLICKS = {"1-click": 1, "3-click": 3, "5-click": 5}
PROMPTS = ("mask", "box", *CLICKS)


@dataclasses.dataclass(frozen=True)
class Carried:
    """What came of one pass through a clip.

    Attributes:
        scores: of each object; None for one that does not count.
        presence: (O,) on how many frames, 0 to 1, it was right whether the object is there; NaN where it never is.
        worst: the worst mask; None where there is no truth that counts.
    """

    scores: list[MaskletScore | None]
    presence: np.ndarray
    worst: WorstMask | None


def prompt_first_frames(session: Session, clip: Clip, prompt: str) -> None:
    """Gives each object, on its first frame of sight, one of `PROMPTS`.

    Raises:
        ValueError: there is no such prompt.
    """
    if prompt not in PROMPTS:
        raise ValueError(f"{prompt!r} is no prompt; expected one of {', '.join(PROMPTS)}.")
    if prompt in CLICKS:
        session.click(clip.starts, CLICKS[prompt])
    else:
        session.give(prompt)


def segment_clip(session: Session, clip: Clip, prompt: str = "mask", overlap: bool = False) -> Iterator[np.ndarray]:
    """The masks (O, H, W) bool of each frame of a clip, from a prompt on each object's first frame of sight.

    Before that frame an object is nowhere. Objects are carried independently, and share out the pixels afterwards, as
    in the published script for objects that appear late.

    Args:
        prompt: one of `PROMPTS`: the true mask, the box around it, or clicks, the first at the centre of the mask and
            each other one at the centre of what is wrong.
        overlap: masks may overlap, as those of SA-V.

    Raises:
        ValueError: there is no such prompt.
    """
    prompt_first_frames(session, clip, prompt)
    for tracked in session.track():
        yield masks_of(tracked.logits, clip.size, overlap)


def evaluate_vos(
    session: Session,
    clip: Clip,
    threads: Executor,
    prompt: str = "mask",
    overlap: bool = False,
    rules: Rules = SA_V,
    write: Callable[[int, np.ndarray], None] | None = None,
) -> Carried:
    """The score of each object of a clip; arguments as of `segment_clip`.

    Args:
        write: takes each frame and its masks, to put them into files.
    """
    return score_masks(segment_clip(session, clip, prompt, overlap), clip, threads, rules, write)


def score_masks(
    masks: Iterable[np.ndarray],
    clip: Clip,
    threads: Executor,
    rules: Rules = SA_V,
    write: Callable[[int, np.ndarray], None] | None = None,
) -> Carried:
    """The score of each object of a clip, whose masks (O, H, W) bool come frame by frame."""
    scores = ClipScores(clip, threads, rules)
    for frame, of_frame in enumerate(masks):
        scores.add(frame, of_frame)
        if write is not None:
            write(frame, of_frame)
    return Carried(scores.result(), scores.presence(), scores.worst)
