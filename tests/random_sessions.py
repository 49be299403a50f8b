# SPDX-License-Identifier: Apache-2.0
"""Sessions drawn from a seed: prompts, removals and passes in any order, as a user who tries everything would."""

from collections.abc import Callable, Iterator

import numpy as np
from video_cases import HEIGHT, LENGTH, WIDTH

SETTINGS = {
    "as published": dict(compat="official"),
    "corrections count": dict(),
    "one object a pixel": dict(compat="official", non_overlap_masks=True),
    "near ones forgotten": dict(compat="official", clear_non_cond_mem_around_input=True),
}
# By setting, the session that the published package was recorded in, and the size of the holes that are filled.
RECORDED = {
    "as published": (1018, 8),
    "corrections count": (1001, 0),
    "one object a pixel": (1002, 0),
    "near ones forgotten": (1003, 0),
}
Action = Callable[[object, object], Iterator[tuple]]  # of a predictor and its state; yields frames, ids and masks


def random_session(seed: int, actions: int = 30) -> Iterator[tuple[str, Action]]:
    """Named actions on a video of `video_cases`."""
    rng = np.random.default_rng(seed)
    objects = [1, 2, 3]
    for _ in range(actions):
        frame = int(rng.choice([0, 0, LENGTH // 2, LENGTH - 1, rng.integers(LENGTH)]))
        obj_id = int(rng.choice(objects))
        kind = rng.choice(
            ["click", "clicks", "box", "box and click", "mask", "remove", "clear", "reset", "forward", "back"],
            p=[0.22, 0.08, 0.08, 0.06, 0.1, 0.04, 0.06, 0.02, 0.22, 0.12],
        )
        yield f"{kind} {obj_id} on {frame}", ACTIONS[kind](rng, frame, obj_id)


def play(predictor, state, seed: int) -> Iterator[tuple[str, list[tuple] | str]]:
    """What each action of a session answers: frames, ids and masks; or the name of an error, which changes nothing."""
    for name, action in random_session(seed):
        try:
            yield name, list(action(predictor, state))
        except (RuntimeError, ValueError) as error:
            yield name, type(error).__name__


def _points(rng, count: int) -> np.ndarray:
    return rng.uniform(0, [WIDTH - 1, HEIGHT - 1], (count, 2)).astype(np.float32)


def _box(rng) -> np.ndarray:
    corner = rng.uniform(0, [WIDTH / 2, HEIGHT / 2])
    return np.concatenate([corner, corner + rng.uniform(15, [WIDTH / 2, HEIGHT / 2])]).astype(np.float32)


def _prompt(frame: int, obj_id: int, **prompt) -> Action:
    def act(predictor, state):
        yield predictor.add_new_points_or_box(state, frame, obj_id, **prompt)

    return act


def _click(rng, frame: int, obj_id: int) -> Action:
    label = np.int32([rng.random() < 0.7])
    return _prompt(frame, obj_id, points=_points(rng, 1), labels=label, clear_old_points=bool(rng.random() < 0.5))


def _clicks(rng, frame: int, obj_id: int) -> Action:
    count = int(rng.integers(2, 5))
    return _prompt(frame, obj_id, points=_points(rng, count), labels=rng.integers(0, 2, count).astype(np.int32))


def _only_box(rng, frame: int, obj_id: int) -> Action:
    return _prompt(frame, obj_id, box=_box(rng))


def _box_and_click(rng, frame: int, obj_id: int) -> Action:
    label = np.int32([rng.integers(2)])
    return _prompt(frame, obj_id, box=_box(rng), points=_points(rng, 1), labels=label)


def _mask(rng, frame: int, obj_id: int) -> Action:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    (center,), radius = _points(rng, 1), rng.uniform(-3, 30)  # one in ten is empty
    mask = np.hypot(x - center[0], y - center[1]) < radius

    def act(predictor, state):
        yield predictor.add_new_mask(state, frame, obj_id, mask)

    return act


def _remove(rng, frame: int, obj_id: int) -> Action:
    def act(predictor, state):
        ids, answers = predictor.remove_object(state, obj_id)
        for frame, masks in sorted(answers, key=lambda answer: answer[0]):
            yield frame, ids, masks

    return act


def _clear(rng, frame: int, obj_id: int) -> Action:
    def act(predictor, state):
        yield predictor.clear_all_prompts_in_frame(state, frame, obj_id)

    return act


def _reset(rng, frame: int, obj_id: int) -> Action:
    def act(predictor, state):
        predictor.reset_state(state)
        yield from ()

    return act


def _pass(rng, frame: int, obj_id: int, reverse: bool) -> Action:
    start = None if rng.random() < 0.4 else int(rng.integers(LENGTH))
    most = None if rng.random() < 0.6 else int(rng.integers(5))
    stop = int(rng.integers(1, 4)) if rng.random() < 0.15 else LENGTH  # a user who does not wait for the end

    def act(predictor, state):
        passed = predictor.propagate_in_video(state, start, most, reverse=reverse)
        for _, answer in zip(range(stop), passed):
            yield answer

    return act


ACTIONS = {
    "click": _click,
    "clicks": _clicks,
    "box": _only_box,
    "box and click": _box_and_click,
    "mask": _mask,
    "remove": _remove,
    "clear": _clear,
    "reset": _reset,
    "forward": lambda *arguments: _pass(*arguments, reverse=False),
    "back": lambda *arguments: _pass(*arguments, reverse=True),
}
