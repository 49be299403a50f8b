# SPDX-License-Identifier: Apache-2.0
"""Compiles the programs of a predictor's sessions by playing one on a black video for each bucket.

In: a `SAM2VideoPredictor`. Nothing comes out: JAX keeps what was compiled, on disk too where its cache is set.
"""

import itertools
from collections.abc import Iterator

import numpy as np

from sam2_jax.buckets import bucket


def warm_up(predictor, objects: int, points: int, prompted_frames: int) -> None:
    """Arguments as of `SAM2VideoPredictor.warm_up`."""
    size = predictor.model.config.image_size
    video = np.zeros((prompted_frames + 2, size, size, 3), np.uint8)
    for count in _buckets(objects):
        sessions = [predictor.init_state(video) for _ in range(predictor.runtime.passes.at_once)]
        for frame in range(prompted_frames + 1):
            for session in sessions:
                predictor.add_prompts(session, frame, {obj_id: _clicks(1) for obj_id in range(count)})
                _prompt_one_object(predictor, session, frame, points)
            for together in _buckets(len(sessions)) if frame < prompted_frames else ():
                passes = (
                    predictor.propagate_in_video(session, 0, need_output=False) for session in sessions[:together]
                )
                for _ in zip(*passes):
                    pass


def _prompt_one_object(predictor, session, frame: int, points: int) -> None:
    """As users do: with each number of clicks that is laid out in another way, and with a mask."""
    predictor.add_new_mask(session, frame, 0, np.ones((8, 8), bool), need_output=False)
    for count in sorted({min(points, most) for most in itertools.chain([1], range(3, 4 * points, 4))}):
        predictor.add_new_points_or_box(session, frame, 0, **_clicks(count), need_output=False)


def _clicks(count: int) -> dict[str, np.ndarray]:
    return dict(points=np.ones((count, 2), np.float32), labels=np.ones(count, np.int32))


def _buckets(most: int) -> Iterator[int]:
    return (1 << power for power in range(bucket(most).bit_length()))
