# SPDX-License-Identifier: Apache-2.0
"""What a session knows of its objects: their prompts, and the masks and memories of each frame.

In: predictions as they come from the device. Out: a `Result` for each object and frame, in a session's `Storage`.
"""

import dataclasses

import jax
import numpy as np

from sam2_jax.session.storage import Kept, Storage
from sam2_jax.types import MaskPrediction


class Result:
    """One object on one frame.

    Attributes:
        iou, object_score: numbers, and pointer: (C,) float32, as of `MaskPrediction`.
        hard: a user has seen the mask, so the spatial memory is that of a hard mask.
    """

    __slots__ = ("_logits", "_maps", "hard", "iou", "object_score", "pointer")

    def __init__(
        self,
        storage: Storage,
        logits: np.ndarray,
        iou: float,
        object_score: float,
        pointer: np.ndarray,
        hard: bool = False,
        maps: "Part | None" = None,
    ):
        kept_type = np.float16 if storage.limits.half_precision else np.float32
        # A copy: a row of an array would keep the whole array alive.
        self._logits = storage.host.keep(np.array(logits, kept_type))
        self.iou, self.object_score, self.pointer, self.hard = iou, object_score, np.array(pointer), hard
        self._maps = maps

    @property
    def logits(self) -> np.ndarray:
        """(S/4, S/4) float32."""
        return self._logits.get().astype(np.float32, copy=False)

    @property
    def maps(self) -> jax.Array | np.ndarray | None:
        """(h, w, memory channels) the spatial memory; None until it is made, and once it was let go."""
        return None if self._maps is None else self._maps.get()

    def keep_maps(self, maps: "Part") -> None:
        self._maps = maps

    def let_go_of_maps(self) -> None:
        self._maps = None

    def leave_device(self) -> None:
        """Moves the spatial memory to the host."""
        if self._maps is not None and self._maps.whole.on_device:
            self._maps.whole.move_down()


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of an array that is kept as a whole: spatial memories of all objects of some frames are computed together.

    Attributes:
        whole: the array.
        index: of the part.
    """

    whole: Kept
    index: tuple[int, ...]

    def get(self) -> jax.Array | np.ndarray:
        whole = self.whole.get()
        return whole[self.index] if isinstance(whole, np.ndarray) else _take(whole, self.index)


@jax.jit
def _take(whole: jax.Array, index: tuple[int, ...]) -> jax.Array:
    return whole[index]


@dataclasses.dataclass
class TrackedObject:
    """One object of a session.

    Attributes:
        points: by frame, the clicks and boxes so far: (N, 2) pixels of the model input, and (N,) labels.
        prompted: by frame, results that the user gave prompts for: each is a memory of its own.
        tracked: by frame, results of tracking.
        pending: by frame, results of prompts since the last propagation, and whether they will count as prompted.
        directions: by frame, the direction (1 or -1) in which it was last tracked.
    """

    points: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)
    prompted: dict[int, Result] = dataclasses.field(default_factory=dict)
    tracked: dict[int, Result] = dataclasses.field(default_factory=dict)
    pending: dict[int, tuple[Result, bool]] = dataclasses.field(default_factory=dict)
    directions: dict[int, int] = dataclasses.field(default_factory=dict)

    def result(self, frame: int, counts: bool | None = None) -> Result | None:
        """The latest result on a frame; of pending ones only those that will count as prompted, or will not."""
        if frame in self.pending and counts in (None, self.pending[frame][1]):
            return self.pending[frame][0]
        return self.prompted.get(frame) or self.tracked.get(frame)

    def results(self) -> list[Result]:
        return [*self.prompted.values(), *self.tracked.values(), *(result for result, _ in self.pending.values())]

    def was_prompted(self, frame: int, result: Result) -> None:
        """A prompted result takes the place of a tracked one."""
        self.prompted[frame] = result
        self.tracked.pop(frame, None)

    def was_tracked(self, frame: int, result: Result) -> None:
        """A tracked result counts where the frame was not prompted. The latest one is the last of `tracked`."""
        if frame not in self.prompted:
            self.tracked.pop(frame, None)
            self.tracked[frame] = result

    def forget_near(self, frame: int, distance: int) -> None:
        """Forgets what was tracked on frames up to a distance from a frame."""
        for near in range(frame - distance, frame + distance + 1):
            self.tracked.pop(near, None)

    def forget_beyond(self, frames: int | None) -> None:
        """Forgets all but so many frames, those tracked last."""
        while frames is not None and len(self.tracked) > frames:
            del self.tracked[next(iter(self.tracked))]


def result_of(storage: Storage, prediction: MaskPrediction, row: int, maps: Part | None = None) -> Result:
    """One object's result, from a prediction (O, ...) on the host and, if it is made, its spatial memory."""
    return Result(
        storage,
        logits=prediction.logits[row],
        iou=float(prediction.iou[row]),
        object_score=float(prediction.object_score[row]),
        pointer=prediction.pointer[row],
        maps=maps,
    )
