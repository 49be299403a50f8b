# SPDX-License-Identifier: Apache-2.0
"""Plays one session on one device, on the other one, and with its objects divided over both; prints what differs."""

import json

import jax
import numpy as np
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, MASK

from sam2_jax.predictors import SAM2VideoPredictor
from sam2_jax.session import passes
from scripts.compilations.hlo import collectives


def play(device) -> tuple[list[np.ndarray], list]:
    predictor = SAM2VideoPredictor(*small_model(attention="xla"), device=device)
    state = predictor.init_state(FRAMES)
    prompts = {1: CLICK, 2: dict(mask=MASK), 3: dict(box=np.array([5, 5, 40, 40]))}
    answers, seen = [predictor.add_prompts(state, 1, prompts)[2]], []
    original = passes.carry_together

    def watched(*arguments):
        seen.append(arguments)
        return original(*arguments)

    passes.carry_together = watched
    answers += [masks for _, _, masks in predictor.propagate_in_video(state)]
    answers.append(predictor.add_new_points_or_box(state, 4, 3, **CLICK)[2])
    answers += [masks for _, _, masks in predictor.propagate_in_video(state, reverse=True)]
    passes.carry_together = original
    return answers, seen[-1]


def main():
    first, second = jax.devices()
    expected, _ = play(first)
    pinned, (_, _, (bank,), *_) = play(second)
    mesh, arguments = play(jax.make_mesh((2,), ("objects",)))
    shards = arguments[2][0].recent_maps.addressable_shards
    program = passes.carry_together.trace(*arguments).lower().compile().as_text()
    found = {
        "difference": max(float(np.abs(a - b).max()) for x in (pinned, mesh) for a, b in zip(expected, x, strict=True)),
        "rows of each device": shards[0].data.shape[1],
        "pinned to": [device.id for device in bank.recent_maps.devices()],
        "collectives": [(one.operation, one.shapes) for one in collectives(program)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
