# SPDX-License-Identifier: Apache-2.0
"""What a session knows of its objects: their prompts, and the masks and memories of each frame.

In: predictions as they come from the device. Out: a `Result` for each object and frame, in a session's `Storage`.
"""

import dataclasses
import functools

import jax
import numpy as np

from sam2_jax.session.storage import Kept, Storage
from sam2_jax.types import MaskPrediction


class Result:
    """One object on one frame.

    Attributes:
        hard: a user has seen the mask, so the spatial memory is that of a hard mask.
    """

    __slots__ = ("_maps", "_record", "hard")

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
        # A copy: a row of an array would keep the whole array alive.
        kept = _record_type(logits.shape, pointer.shape, storage.limits.half_precision)
        self._record = storage.host.keep(np.array((logits, iou, object_score, pointer), kept))
        self.hard, self._maps = hard, maps

    @property
    def logits(self) -> np.ndarray:
        """(S/4, S/4) float32."""
        return self._record.get()["logits"].astype(np.float32, copy=False)

    @property
    def iou(self) -> float:
        return float(self._record.get()["iou"])

    @property
    def object_score(self) -> float:
        return float(self._record.get()["object_score"])

    @property
    def pointer(self) -> np.ndarray:
        """(C,) float32."""
        return self._record.get()["pointer"]

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


@functools.cache
def _record_type(mask: tuple[int, ...], pointer: tuple[int, ...], half_precision: bool) -> np.dtype:
    """All of a result that is kept on the host, in one piece."""
    logits = np.float16 if half_precision else np.float32
    numbers = [("iou", np.float32), ("object_score", np.float32)]
    return np.dtype([("logits", logits, mask), *numbers, ("pointer", np.float32, pointer)])


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
        masked: frames whose latest prompt is a mask.
        prompted: by frame, results that the user gave prompts for: each is a memory of its own.
        tracked: by frame, results of tracking.
        pending: by frame, results of prompts since the last propagation, and whether they will count as prompted.
        directions: by frame, the direction (1 or -1) in which it was last tracked.
    """

    points: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(default_factory=dict)
    masked: set[int] = dataclasses.field(default_factory=set)
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

    def forget_prompts(self, frame: int) -> None:
        """Forgets what the user gave on a frame, not what came of it."""
        self.points.pop(frame, None)
        self.masked.discard(frame)

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
        iou=prediction.iou[row],
        object_score=prediction.object_score[row],
        pointer=prediction.pointer[row],
        maps=maps,
    )
