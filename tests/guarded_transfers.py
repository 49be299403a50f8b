# SPDX-License-Identifier: Apache-2.0
"""Plays sessions where every way from a device to the host but `sam2_jax.transfer` raises, and prints what they asked.

Runs on two CPU devices: NumPy reads an array of one CPU device through its buffer, past JAX, and one of two like that
of an accelerator.
"""

import json

import jax
import numpy as np
from jax._src.array import ArrayImpl
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, MASK

from sam2_jax import transfer
from sam2_jax.predictors import SAM2VideoPredictor

questions, allowed, original = 0, False, transfer.to_host
read = ArrayImpl._value.fget


def guarded(array):
    if not allowed:
        raise AssertionError("an array was read from the device past sam2_jax.transfer")
    return read(array)


def counted(tree):
    global questions, allowed
    questions += any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))
    allowed = True
    try:
        return original(tree)
    finally:
        allowed = False


def asked(function) -> int:
    """How many questions the device gets."""
    before = questions
    function()
    return questions - before


def play(predictor, count: int) -> dict[str, int]:
    state = predictor.init_state(FRAMES)
    click = dict.fromkeys(range(count), CLICK)
    seen = {"one call prompts all": asked(lambda: predictor.add_prompts(state, 0, click))}
    seen["a mask"] = asked(lambda: predictor.add_new_mask(state, 0, 0, MASK))
    seen["a pass of 6 frames behind the prompt"] = asked(lambda: list(predictor.propagate_in_video(state, 0, 6)))
    seen["a correction"] = asked(lambda: predictor.add_new_points_or_box(state, 3, 0, **CLICK))
    seen["4 frames without masks"] = asked(
        lambda: list(predictor.propagate_in_video(state, 6, 3, reverse=True, need_output=False))
    )
    seen["masks seen before"] = asked(lambda: predictor.masks_on_frame(state, 4))
    return seen


def main():
    mesh = jax.make_mesh((2,), ("objects",))
    predictor = SAM2VideoPredictor(*small_model(attention="xla"), device=mesh)
    for count in (1, 8):
        play(predictor, count)  # what is compiled reads constants
    ArrayImpl._value, transfer.to_host = property(guarded), counted
    caught = 0
    for leak in (np.asarray, float, bool, lambda x: x.tolist(), jax.device_get):
        try:
            leak(jax.device_put(np.float32(1), predictor.runtime.params["no_mem_embed"].sharding))
        except AssertionError:
            caught += 1
    print(json.dumps({"caught": caught, **{str(count): play(predictor, count) for count in (1, 8)}}))


if __name__ == "__main__":
    main()
