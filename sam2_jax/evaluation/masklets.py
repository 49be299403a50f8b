# SPDX-License-Identifier: Apache-2.0
"""J and F of objects over a video: which frames and objects count, and the numbers that benchmarks report.

In: true and predicted masks frame by frame, as object numbers (H, W) or bool. Out: a `MaskletScore` for each object,
and the means over objects. No jax.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from sam2_jax.evaluation.j_and_f import j_and_f

VOID = 255  # in DAVIS 2017's annotations: no object


@dataclass(frozen=True)
class Rules:
    """What of a video counts; without arguments, what counts in the published evaluator of SA-V.

    Attributes:
        keep_first_and_last: count the first and the last annotated frame too. They are left out where the first is the
            prompt.
        first_frame_objects: DAVIS 2017's own toolkit, and VOST's: the objects are 1 up to the highest number of the
            first annotated frame, and count on every frame; 255 in the truth is no object. Otherwise an object counts
            from the first frame on that has it in the truth or in the prediction, if the truth has it on any frame that
            counts.
    """

    keep_first_and_last: bool = False
    first_frame_objects: bool = False

    def counted(self, frames: Collection) -> Collection:
        """The frames that count, of all annotated ones."""
        return frames if self.keep_first_and_last else frames[1:-1]

    def objects(self, first_truth: np.ndarray) -> range | None:
        """The objects that count whenever they appear, from the first annotated frame; None: those that are seen."""
        if not self.first_frame_objects:
            return None
        return range(1, int(first_truth[first_truth != VOID].max(initial=0)) + 1)


SA_V = Rules()
DAVIS_2017 = Rules(first_frame_objects=True)


@dataclass(frozen=True)
class MaskletScore:
    """How well one object is segmented through its video.

    Attributes:
        j: (T,) float64 J of each frame that counts, 0 to 1.
        f: (T,) float64 F of each of them.
    """

    j: np.ndarray
    f: np.ndarray

    @property
    def j_and_f(self) -> float:
        """The mean of J and F over the frames."""
        return float(self.j.mean() + self.f.mean()) / 2

    @property
    def deviation(self) -> float:
        """V of LVOS: the standard deviation of J&F from frame to frame; lower is steadier."""
        return float(((self.j + self.f) / 2).std())


def score_frames(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], objects: Iterable[int] | None = None
) -> dict[int, MaskletScore]:
    """Scores the objects of a video, one frame in memory at a time.

    Args:
        frames: the true and the predicted masks of each frame that counts: (H, W) integers, the number of the object
            at each pixel and 0 for none; or bool, one object of number 1.
        objects: the objects that count, on every frame. Without them, those of the truth, from their first appearance
            in truth or prediction.
    """
    seen = {number: _Frames(in_truth=True) for number in objects or ()}
    for truth, prediction in frames:
        if objects is None:
            for number in _numbers(prediction):
                seen.setdefault(number, _Frames())
            for number in _numbers(truth):
                seen.setdefault(number, _Frames()).in_truth = True
        for number, score in seen.items():
            j, f = j_and_f(truth == number, prediction == number)
            score.j.append(float(j))
            score.f.append(float(f))
    return {
        number: MaskletScore(np.array(score.j), np.array(score.f))
        for number, score in sorted(seen.items())
        if score.in_truth and score.j
    }


def score_video(truth: np.ndarray, prediction: np.ndarray, rules: Rules = SA_V) -> dict[int, MaskletScore]:
    """Scores the objects of a video that is in memory: (T, H, W) integers or bool, as `score_frames` takes them."""
    if truth.shape != prediction.shape or truth.ndim != 3 or len(truth) == 0:
        raise ValueError(f"The masks are {truth.shape} and {prediction.shape}; expected both (T, H, W) of one shape.")
    return score_frames(zip(rules.counted(truth), rules.counted(prediction)), rules.objects(truth[0]))


def statistics(values: np.ndarray) -> dict[str, float]:
    """DAVIS's mean, recall and decay of an object's J or F (T,), and VOST's mean over the last quarter of the frames.

    Recall is the part of the frames above 0.5. Decay is how far the mean falls from the first quarter to the last; the
    quarters share their end frames, as published.
    """
    ends = np.floor(np.linspace(0, len(values) - 1, 5) + 0.5 + 1e-10).astype(int)
    return {
        "mean": values.mean(),
        "recall": (values > 0.5).mean(),
        "decay": values[: ends[1] + 1].mean() - values[ends[3] :].mean(),
        "last quarter": values[int(len(values) * 0.75) :].mean(),
    }


def summarize(scores: Iterable[MaskletScore]) -> dict[str, float]:
    """What benchmarks report of a set of objects: means over objects, in percent.

    "J&F", "J" and "F"; recall and decay of J and of F (DAVIS 2017); "J last quarter" (VOST, which reports J alone); and
    "V", the deviation from frame to frame (LVOS).

    Raises:
        ValueError: there is no object.
    """
    scores = list(scores)
    if not scores:
        raise ValueError("There is no object to score.")
    j, f = ([statistics(getattr(score, name)) for score in scores] for name in "jf")

    def mean(rows, name):
        return 100 * float(np.mean([row[name] for row in rows]))

    return {
        "J&F": (mean(j, "mean") + mean(f, "mean")) / 2,
        "J": mean(j, "mean"),
        "F": mean(f, "mean"),
        "J recall": mean(j, "recall"),
        "J decay": mean(j, "decay"),
        "F recall": mean(f, "recall"),
        "F decay": mean(f, "decay"),
        "J last quarter": mean(j, "last quarter"),
        "V": 100 * float(np.mean([score.deviation for score in scores])),
    }


def summarize_seen_and_unseen(seen: Iterable[MaskletScore], unseen: Iterable[MaskletScore]) -> dict[str, float]:
    """What YouTube-VOS and LVOS report: J and F of categories seen in training and not, and G, their mean; in percent.

    Raises:
        ValueError: there is no object of one kind.
    """
    values = {}
    for kind, scores in (("seen", list(seen)), ("unseen", list(unseen))):
        if not scores:
            raise ValueError(f"There is no object of {kind} categories.")
        summary = summarize(scores)
        values |= {f"{name} {kind}": summary[name] for name in "JF"}
    return {"G": sum(values.values()) / len(values)} | values


@dataclass
class _Frames:
    """An object's frames so far."""

    in_truth: bool = False
    j: list[float] = field(default_factory=list)
    f: list[float] = field(default_factory=list)


def _numbers(masks: np.ndarray) -> list[int]:
    """The objects of a frame."""
    if masks.dtype == bool:
        return [1] if masks.any() else []
    if masks.dtype == np.uint8:  # a histogram takes a hundredth of the time of np.unique, which sorts
        counts = cv2.calcHist([masks], [0], None, [256], [0, 256]).ravel()
        return (np.flatnonzero(counts[1:]) + 1).tolist()
    numbers = np.unique(masks)
    return numbers[numbers != 0].tolist()
