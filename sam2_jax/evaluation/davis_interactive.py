# SPDX-License-Identifier: Apache-2.0
"""The DAVIS interactive benchmark (section F.2) with clicks in place of scribbles, without its server.

In: a `Session` on a clip. Out: J&F of each object after each interaction and how long the model took for it; over many
clips, the curve of J&F over time, its area, and J&F after 60 seconds, as the official toolkit has them.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np

from sam2_jax.evaluation.clip_scores import ClipScores
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.masklets import Rules
from sam2_jax.evaluation.session import Session, masks_of

INTERACTIONS = 8
SECONDS_PER_OBJECT = 30.0  # of an interaction
THRESHOLD = 60.0  # seconds
_EVERY_FRAME = Rules(keep_first_and_last=True)


@dataclasses.dataclass(frozen=True)
class Interactions:
    """What a clip's O objects gained from each of I interactions, as many as were done in time.

    Attributes:
        j_and_f: (I, O) J&F after each, 0 to 1, the mean over all annotated frames.
        seconds: (I,) what the model took for each.
        frames: the frame that was clicked on in each; in the first, the first frame of sight of each object, of which
            the earliest stands here.
    """

    j_and_f: np.ndarray
    seconds: np.ndarray
    frames: list[int]


def interact(
    session: Session,
    clip: Clip,
    threads: Executor,
    interactions: int = INTERACTIONS,
    clicks: int = 3,
    seconds_per_object: float = SECONDS_PER_OBJECT,
    clock: Callable[[], float] = time.perf_counter,
) -> Interactions:
    """Clicks on all objects on the frame whose J&F, the mean over objects, is lowest; then carries them, and so on.

    Masks do not overlap, and a frame is clicked on once. An interaction that ends after the time for all of them is
    over does not count, and is the last.
    """
    limit = seconds_per_object * interactions * len(clip.objects)
    frames, used = clip.starts, set(clip.starts.tolist())
    j_and_f, seconds, chosen = [], [], []
    for _ in range(interactions):
        scores, start = ClipScores(clip, threads, _EVERY_FRAME), clock()
        session.click(frames, clicks)
        answers = [masks_of(tracked.logits, clip.size, overlap=False) for tracked in session.track()]
        took = clock() - start
        if sum(seconds) + took > limit:
            break
        for frame, masks in enumerate(answers):
            scores.add(frame, masks)
        j, f, _, _ = scores.by_frame()
        by_frame = (j + f) / 2
        j_and_f.append(by_frame.mean(0))
        seconds.append(took)
        chosen.append(int(frames.min()))
        order = [clip.annotated[place] for place in by_frame.mean(1).argsort(kind="stable")]
        free = [frame for frame in order if frame not in used]
        if not free:
            break
        used.add(free[0])
        frames = np.full(len(clip.objects), free[0])
    return Interactions(np.reshape(j_and_f, (-1, len(clip.objects))), np.array(seconds), chosen)


def summarize(
    clips: Sequence[Interactions], interactions: int = INTERACTIONS, seconds_per_object: float = SECONDS_PER_OBJECT
) -> dict[str, float | list[float]]:
    """The benchmark's numbers over all clips.

    An interaction that was not done counts as the one before it and takes no time.

    Returns:
        "AUC-J&F", the area under the curve of J&F over seconds, divided by the time there is; "J&F@60s"; "R-AUC-J&F",
        the same area over interactions, which does not depend on the machine; and the curve, "seconds" and "J&F".
    """
    objects = np.array([clip.j_and_f.shape[1] for clip in clips])
    values, spent = [np.zeros(objects.sum())], [np.zeros(len(clips))]
    for index in range(interactions):
        done = [index < len(clip.seconds) for clip in clips]
        before = np.split(values[-1], np.cumsum(objects)[:-1])
        values.append(np.concatenate([c.j_and_f[index] if d else b for c, d, b in zip(clips, done, before)]))
        spent.append(np.array([clip.seconds[index] if d else 0.0 for clip, d in zip(clips, done)]))
    metric = np.array([value.mean() for value in values])
    seconds = np.cumsum([times.mean() for times in spent])
    end = seconds_per_object * interactions * objects.mean()
    curve, at = np.append(metric, metric[-1]), np.append(seconds, end)
    return {
        "AUC-J&F": float(np.trapezoid(curve, at) / end),
        "J&F@60s": float(np.interp(THRESHOLD, at, curve)),
        "R-AUC-J&F": float(np.trapezoid(metric) / interactions),
        "seconds": seconds.tolist(),
        "J&F": metric.tolist(),
    }
