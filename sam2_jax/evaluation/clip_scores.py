# SPDX-License-Identifier: Apache-2.0
"""J and F of a clip's objects, taken by threads of the host while the model is at the next frames.

In: predicted masks (O, H, W) bool frame by frame. Out: a `MaskletScore` for each object, by the rules of a benchmark,
as `scoring` gives it for files. No jax.
"""

import dataclasses
import threading
from concurrent.futures import Executor, Future

import numpy as np

from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.j_and_f import j_and_f
from sam2_jax.evaluation.masklets import SA_V, MaskletScore, Rules


@dataclasses.dataclass(frozen=True)
class WorstMask:
    """The mask of lowest J&F of a clip: the object's place in it, its frame, the mask (H, W) bool, and J&F, 0 to 1."""

    place: int
    frame: int
    mask: np.ndarray
    j_and_f: float


class ClipScores:
    """The scores of one pass through a clip.

    Attributes:
        worst: the mask of lowest J&F so far, where there is a true one, and the earliest of equals; None before the
            first.

    Args:
        threads: where masks are compared.
    """

    def __init__(self, clip: Clip, threads: Executor, rules: Rules = SA_V):
        self._clip, self._threads, self._rules = clip, threads, rules
        self._counted = list(rules.counted(clip.annotated))
        self._waiting: dict[int, Future] = {}
        self._lock = threading.Lock()
        self.worst: WorstMask | None = None

    def add(self, frame: int, masks: np.ndarray) -> None:
        """Takes the predicted masks of a frame; those of frames that do not count are left alone."""
        if frame in self._counted:
            self._waiting[frame] = self._threads.submit(self._compare, frame, masks)

    def result(self) -> list[MaskletScore | None]:
        """The score of each object; None for one that does not count."""
        if not self._counted:
            return [None] * len(self._clip.objects)
        j, f, in_truth, in_prediction = self.by_frame()
        scores = []
        for place in range(len(self._clip.objects)):
            if self._rules.first_frame_objects:
                first = 0 if self._clip.packed[0, place].any() else None
            elif in_truth[:, place].any():
                first = int((in_truth[:, place] | in_prediction[:, place]).argmax())
            else:
                first = None
            scores.append(None if first is None else MaskletScore(j[first:, place], f[first:, place]))
        return scores

    def presence(self) -> np.ndarray:
        """(O,) float64: on how many frames that count, 0 to 1, an object is predicted if and only if it is there.

        From the object's first annotated frame on, and NaN where none of those counts.
        """
        if not self._counted:
            return np.full(len(self._clip.objects), np.nan)
        _, _, in_truth, in_prediction = self.by_frame()
        begun = np.array(self._counted)[:, None] >= self._clip.starts
        with np.errstate(invalid="ignore"):
            return ((in_truth == in_prediction) & begun).sum(axis=0) / begun.sum(axis=0)

    def by_frame(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """J and F (A, O) on the A frames that count, and whether each object is in the truth, and was predicted."""
        missing = [frame for frame in self._counted if frame not in self._waiting]
        if missing:
            raise ValueError(f"{self._clip.name} has no prediction for frame {missing[0]}, which counts.")
        compared = zip(*(self._waiting[frame].result() for frame in self._counted))
        j, f, in_truth, in_prediction = (np.array(values) for values in compared)
        return j, f, in_truth, in_prediction

    def _compare(self, frame: int, masks: np.ndarray) -> tuple[np.ndarray, ...]:
        truth = self._clip.truth(frame)
        j, f = j_and_f(truth, masks)
        in_truth = truth.any((1, 2))
        both = np.where(in_truth, (j + f) / 2, np.inf)
        place = int(both.argmin())
        with self._lock:
            # Threads end in any order: of equal ones it is the earliest frame's, every time.
            before = self.worst and (self.worst.j_and_f, self.worst.frame)
            if in_truth[place] and (before is None or (both[place], frame) < before):
                self.worst = WorstMask(place, frame, masks[place].copy(), float(both[place]))
        return j, f, in_truth, masks.any((1, 2))
