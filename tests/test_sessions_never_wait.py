# SPDX-License-Identifier: Apache-2.0
"""A device is never asked for more than a caller is, and works on the next frame while a caller looks at this one."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import QUICK
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, LENGTH

from sam2_jax.predictors import SAM2VideoPredictor
from sam2_jax.predictors.video_session import VideoSession
from sam2_jax.session import passes


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


@jax.jit
def _long(x: jax.Array, rounds: int) -> jax.Array:
    """The same array, after a while."""
    square = jnp.full((400, 400), 1e-3) + 0 * x.ravel()[0]
    square = jax.lax.fori_loop(0, rounds, lambda _, square: jnp.tanh(square @ square), square)
    return x + 0 * square[0, 0]


def test_the_next_frame_is_under_way_before_this_one_is_looked_at(model_and_params, monkeypatch):
    jax.block_until_ready(_long(jnp.ones(3), 1))
    began = time.perf_counter()
    jax.block_until_ready(_long(jnp.ones(3), 20))
    rounds = int(20 * 0.2 / (time.perf_counter() - began)) + 1  # 200 ms
    dispatched = []

    def slow(*arguments):
        ((memory, prediction, maps),) = original(*arguments)
        prediction = prediction.replace(logits=_long(prediction.logits, rounds))
        dispatched.append(prediction.logits)
        return [(memory, prediction, maps)]

    original = passes.carry_together
    predictor = SAM2VideoPredictor(*model_and_params)
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    list(predictor.propagate_in_video(state, max_frame_num_to_track=3))  # compiles
    monkeypatch.setattr(passes, "carry_together", slow)
    for frame, _, _ in predictor.propagate_in_video(state, max_frame_num_to_track=6):
        if 0 < frame < 6:
            assert len(dispatched) == frame + 1 and not dispatched[-1].is_ready()


def play_on_two_devices(script: str) -> dict:
    """What a script prints last that runs on two CPU devices."""
    folder = Path(__file__).parent
    flags = "--xla_force_host_platform_device_count=2"
    paths = f"{folder}{os.pathsep}{folder.parent}"
    environment = os.environ | QUICK | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": paths}
    result = subprocess.run([sys.executable, folder / script], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def _threads() -> int:
    return sum(thread.name.startswith(("frames ahead", "ThreadPoolExecutor")) for thread in threading.enumerate())


def test_a_pass_that_is_let_go_of_leaves_no_thread_and_no_result(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params)
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    before = _threads()
    with contextlib.closing(predictor.propagate_in_video(state)) as frames:
        for frame, _, _ in frames:
            if frame == 3:
                break
    assert _threads() == before
    assert set(state.objects[1].tracked) == {1, 2, 3}


class Damaged:
    """A video whose fifth frame cannot be decoded."""

    length, height, width = LENGTH, *FRAMES.shape[1:3]

    def frame(self, index: int) -> np.ndarray:
        if index == 5:
            raise ValueError("frame 5 is damaged")
        return FRAMES[index]

    def frames(self, order):
        return map(self.frame, order)


def test_damage_is_told_at_its_frame(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params)
    state = VideoSession(predictor.runtime, Damaged())
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    seen = (frame for frame, _, _ in predictor.propagate_in_video(state))
    assert [next(seen) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="frame 5 is damaged"):
        next(seen)
    assert set(state.objects[1].tracked) == {1, 2, 3, 4}


def test_a_device_is_asked_once_for_a_click_and_once_for_a_frame():
    asked = play_on_two_devices("guarded_transfers.py")
    assert asked["caught"] == 5
    expected = {
        "one call prompts all": 1,
        "a mask": 1,
        "a pass of 6 frames behind the prompt": 6,
        "a correction": 1,
        "4 frames without masks": 4,
        "masks seen before": 0,
    }
    assert asked["8"] == expected
    expected["4 frames without masks"] -= 1  # where the only object was corrected there is nothing to compute
    assert asked["1"] == expected
