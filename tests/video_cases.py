# SPDX-License-Identifier: Apache-2.0
"""A made-up video and a session on it, in the published API: the same lines run in either implementation."""

import numpy as np

LENGTH, HEIGHT, WIDTH = 9, 90, 160


def frames() -> np.ndarray:
    """Moving discs over moving blocks, (9, 90, 160, 3) uint8, drawn by rule."""
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(0, 180, (12, 20, 3)), np.ones((10, 10, 1), int))
    discs = rng.uniform([0.2, 0.2, -0.04, -0.04, 0.08], [0.8, 0.8, 0.04, 0.04, 0.2], (4, 5))
    colors = rng.integers(0, 255, (4, 3))
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    video = []
    for t in range(LENGTH):
        frame = ground[t : t + HEIGHT, 2 * t : 2 * t + WIDTH].copy()
        for (across, down, right, below, radius), color in zip(discs, colors):
            inside = (x - 1.7 * (across + right * t)) ** 2 + (y - down - below * t) ** 2 < radius**2
            frame[inside] = color
        video.append(np.clip(frame + rng.integers(-15, 15, frame.shape), 0, 255))
    return np.array(video, np.uint8)


def session(predictor, state) -> dict[str, np.ndarray]:
    """Clicks, a mask, refinement, an object that comes late, both directions, one that goes: logits by step."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    mask = (x - 90) ** 2 + (y - 50) ** 2 < 20**2
    middle = LENGTH // 2
    answers = {}

    def note(step, masks):
        answers[step] = np.asarray(masks, np.float32)

    def propagate(step, **arguments):
        note(
            step, np.concatenate([np.asarray(m)[None] for _, _, m in predictor.propagate_in_video(state, **arguments)])
        )

    click = dict(points=np.array([[48, 36]], np.float32), labels=np.array([1], np.int32))
    note("click", predictor.add_new_points_or_box(state, 0, 1, **click)[2])
    more = dict(points=np.array([[60, 40]], np.float32), labels=np.array([0], np.int32), clear_old_points=False)
    note("second click", predictor.add_new_points_or_box(state, 0, 1, **more)[2])
    note("mask", predictor.add_new_mask(state, 0, 2, mask)[2])
    propagate("propagate")
    clicks = dict(points=np.array([[80, 45], [16, 9]], np.float32), labels=np.array([1, 0], np.int32))
    note("refinement", predictor.add_new_points_or_box(state, middle, 1, **clicks)[2])
    box = np.array([80, 9, 144, 45], np.float32)
    note("new object", predictor.add_new_points_or_box(state, middle, 3, box=box)[2])
    propagate("forward again", start_frame_idx=middle)
    propagate("reverse", start_frame_idx=middle, reverse=True)
    propagate("two frames more", start_frame_idx=2, max_frame_num_to_track=2)
    predictor.remove_object(state, 2)
    propagate("after a removal", start_frame_idx=middle)
    note("prompts cleared", predictor.clear_all_prompts_in_frame(state, middle, 1)[2])
    # From the middle on: before its first prompt an object has no pointer, and there the published package fails.
    propagate("after clearing", start_frame_idx=middle)
    return answers


def session_of_three_prompts(predictor, state) -> dict[str, np.ndarray]:
    """One object, prompted on three frames, tracked forward and back: what a limit on prompted frames leaves out."""
    answers = {}
    for frame, point in ((0, (48, 36)), (3, (60, 40)), (6, (70, 44))):
        arguments = dict(points=np.array([point], np.float32), labels=np.array([1], np.int32))
        answers[f"click on {frame}"] = np.asarray(predictor.add_new_points_or_box(state, frame, 1, **arguments)[2])
        for reverse in (False, True):
            masks = [np.asarray(m) for _, _, m in predictor.propagate_in_video(state, frame, reverse=reverse)]
            if masks:
                answers[f"from {frame} {'back' if reverse else 'forward'}"] = np.stack(masks)
    answers["all"] = np.stack([np.asarray(m) for _, _, m in predictor.propagate_in_video(state)])
    return answers


def sample(array: np.ndarray) -> np.ndarray:
    """Every 13th row and 11th column of the masks: what is recorded."""
    return np.asarray(array, np.float32)[..., ::13, ::11]
