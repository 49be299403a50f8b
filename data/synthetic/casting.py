# SPDX-License-Identifier: Apache-2.0
"""Which things and parts of things are the objects of a scene.

In: a scene without objects. Out: objects that can be seen, wholes and parts, found by a small sketch of a few frames.
"""

import dataclasses

import numpy as np

from data.synthetic.dice import Dice
from data.synthetic.scenes import Object, Scene
from data.synthetic.stage import Stage

SMALLEST = 0.003  # share of the picture
_SKETCH = 64  # pixels
_CHECK = 128


def cast_video(
    dice: Dice,
    scene: Scene,
    counts: dict[int, float],
    in_first_frame: bool,
    smallest: float = SMALLEST,
    parts: float = 0.3,
) -> tuple[Object, ...]:
    """Objects that are seen in some of a few frames; none where there are not enough.

    Args:
        counts: how many objects, with weights.
        in_first_frame: each of them must be seen in frame 0, as well as in this or that later one.
        smallest: share of the picture that one that is seen covers.
        parts: how often a part is an object, rather than a whole.
    """
    frames = sorted({0, scene.frames // 3, 2 * scene.frames // 3})
    everyone, seen = _sketch(dice, scene, frames, most_parts=24)
    wanted = dice.weighted(counts)
    large = seen > smallest
    able = (large[:, 0] if in_first_frame else large.any(1)) & (seen.max(1) < 0.6)
    chosen: list[int] = []
    for _ in range(wanted):
        as_part = dice.chance(parts)
        options = [
            n
            for n, object_ in enumerate(everyone)
            if able[n] and n not in chosen and bool(object_.part) == as_part
            if all(_differ(everyone[other], object_, seen[other], seen[n]) for other in chosen)
        ]
        if options:
            weights = [_interest(scene, everyone[n]) * int(large[n].sum()) for n in options]
            chosen.append(dice.choice(options, weights))
    if len(chosen) < min(counts):
        return ()
    objects = tuple(everyone[n] for n in chosen)
    if in_first_frame:
        masks = Stage(dataclasses.replace(scene, objects=objects), _CHECK, colors=False).masks(0)
        if masks.reshape(len(masks), -1).mean(1).min() < 1.2 * smallest:
            return ()
    return objects


def cast_picture(dice: Dice, scene: Scene, most: int, smallest: float, parts: float = 0.6) -> tuple[Object, ...]:
    """Everything and every part that can be seen well enough, `most` of them at most.

    Args:
        smallest: share of the picture that one that is seen covers.
        parts: how many of the parts are taken.
    """
    everyone, seen = _sketch(dice, scene, [0], most_parts=3 * most)
    seen = seen[:, 0]
    chosen: list[int] = []
    for n in dice.sample(range(len(everyone)), len(everyone)):
        if len(chosen) == most:
            break
        if not smallest < seen[n] < 0.6 or (everyone[n].part and dice.chance(1 - parts)):
            continue
        if all(_differ(everyone[other], everyone[n], seen[other], seen[n]) for other in chosen):
            chosen.append(n)
    return tuple(everyone[n] for n in chosen)


def _sketch(dice: Dice, scene: Scene, frames: list[int], most_parts: int) -> tuple[list[Object], np.ndarray]:
    """All actors and some of their parts, and the share of the picture in which each is seen, (objects, frames)."""
    actors = scene.actors
    parts = [Object(number, part) for number in range(len(actors)) for part in range(1, len(actors[number].body.parts))]
    everyone = [Object(number, 0) for number in range(len(actors))] + dice.sample(parts, most_parts)
    stage = Stage(dataclasses.replace(scene, objects=tuple(everyone)), _SKETCH, colors=False)
    return everyone, np.stack([stage.shares(frame) for frame in frames], axis=1)


def _interest(scene: Scene, object_: Object) -> float:
    actor = scene.actors[object_.actor]
    interest = {"star": 4.0, "twin": 1.0, "extra": 1.5, "fixture": 0.8, "cover": 0.4}[actor.role]
    return interest / len(actor.body.parts) ** 0.5 if object_.part else interest


def _differ(one: Object, other: Object, seen_one: np.ndarray, seen_other: np.ndarray) -> bool:
    """Whether two objects could be told apart: a part that is nearly its whole, and nothing else of it, could not."""
    if one.actor != other.actor:
        return True
    small, large = sorted((float(np.sum(seen_one)), float(np.sum(seen_other))))
    return small < 0.9 * large
