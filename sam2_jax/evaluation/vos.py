# SPDX-License-Identifier: Apache-2.0
"""Semi-supervised video object segmentation (sections 6.2, 7 and F.1.3): prompts on first frames alone.

In: a `Session` on a clip, and the kind of prompt. Out: the score of each object, and its masks frame by frame.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import numpy as np

from sam2_jax.evaluation.clip_scores import ClipScores, WorstMask
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.masklets import SA_V, MaskletScore, Rules
from sam2_jax.evaluation.session import Session, masks_of

CLICKS = {"1-click": 1, "3-click": 3, "5-click": 5}
PROMPTS = ("mask", "box", *CLICKS)


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
    if prompt not in PROMPTS:
        raise ValueError(f"{prompt!r} is no prompt; expected one of {', '.join(PROMPTS)}.")
    if prompt in CLICKS:
        session.click(clip.starts, CLICKS[prompt])
    else:
        session.give(prompt)
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
) -> tuple[list[MaskletScore | None], WorstMask | None]:
    """The score of each object of a clip, and the worst mask; arguments as of `segment_clip`.

    Args:
        write: takes each frame and its masks, to put them into files.
    """
    scores = ClipScores(clip, threads, rules)
    for frame, masks in enumerate(segment_clip(session, clip, prompt, overlap)):
        scores.add(frame, masks)
        if write is not None:
            write(frame, masks)
    return scores.result(), scores.worst
