# SPDX-License-Identifier: Apache-2.0
"""The interactive protocols as anybody would write them: one object at a time, one call of the predictor at a time."""

import numpy as np

from sam2_jax.clicks import centre_click
from sam2_jax.evaluation.clips import Clip
from sam2_jax.evaluation.j_and_f import jaccard
from sam2_jax.predictors import SAM2VideoPredictor

ABSENT = -1024.0


class PlainLoop:
    """One object of a clip under the published API, with logits (T, H, W) of the latest passes."""

    def __init__(self, predictor: SAM2VideoPredictor, clip: Clip, place: int):
        self.predictor, self.clip, self.place = predictor, clip, place
        self.state = predictor.init_state(clip.frames(range(clip.length)))
        self.start = int(clip.starts[place])
        self.prompted: list[int] = []
        self.logits = np.full((clip.length, *clip.size), ABSENT, np.float32)

    def click(self, frame: int, clicks: int) -> None:
        truth = self.clip.truth(frame)[self.place]
        seen = self.logits[frame] > 0
        for _ in range(clicks):
            point, label = centre_click(truth, seen)
            _, _, answer = self.predictor.add_new_points_or_box(
                *(self.state, frame, 1),
                points=np.asarray(point)[None],
                labels=np.asarray(label)[None],
                clear_old_points=False,
            )
            seen = answer[0, 0] > 0
        self.logits[frame] = answer[0, 0]
        self.prompted.append(frame)

    def iou(self, frame: int) -> float:
        return float(jaccard(self.clip.truth(frame)[self.place], self.logits[frame] > 0))

    def offline(self, rounds: int, clicks: int) -> np.ndarray:
        """Logits (rounds, T, H, W) after each round."""
        passes, frame = [], self.start
        for _ in range(rounds):
            self.click(frame, clicks)
            for tracked, _, answer in self.predictor.propagate_in_video(self.state, start_frame_idx=self.start):
                self.logits[tracked] = answer[0, 0]
            passes.append(self.logits.copy())
            others = [f for f in range(self.start, self.clip.length) if f not in self.prompted]
            frame = min(others, key=self.iou)
        return np.stack(passes)

    def online(self, least_iou: float, most_frames: int, clicks: int) -> np.ndarray:
        """Logits (T, H, W) of one pass."""
        self.click(self.start, clicks)
        at = self.start
        while at is not None:
            at = self._until_a_bad_frame(at, least_iou, most_frames)
            if at is not None:
                self.click(at, clicks)
                at = at + 1 if at + 1 < self.clip.length else None
        return self.logits

    def _until_a_bad_frame(self, start: int, least_iou: float, most_frames: int) -> int | None:
        for tracked, _, answer in self.predictor.propagate_in_video(self.state, start_frame_idx=start):
            self.logits[tracked] = answer[0, 0]
            may = tracked not in self.prompted and len(self.prompted) < most_frames
            if may and self.iou(tracked) < least_iou:
                return tracked
        return None
