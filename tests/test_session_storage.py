# SPDX-License-Identifier: Apache-2.0
"""What sessions keep stays within its limits, and is read back bit for bit from wherever it went."""

import contextlib
import gc

import jax.numpy as jnp
import numpy as np
import pytest
from small import small_model
from test_memory_and_tracking import CLICK, FRAMES, LENGTH, MASK

from sam2_jax.predictors import SAM2VideoPredictor
from sam2_jax.session import SessionLimits
from sam2_jax.session.storage import Storage

RESULT = 4 * (16 * 16 + 2 + 32)  # bytes of one object on one frame: its mask, two scores and its pointer


@pytest.fixture(scope="module")
def model_and_params():
    return small_model()


def play(predictor, path=None):
    """Every answer of a session that is tracked both ways and corrected; saved and opened again where asked."""
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 4, 1, **CLICK)
    predictor.add_new_mask(state, 4, "two", MASK)
    answers = [masks for _, _, masks in predictor.propagate_in_video(state)]
    answers += [masks for _, _, masks in predictor.propagate_in_video(state, reverse=True)]
    predictor.add_new_points_or_box(state, 7, 1, **CLICK)
    if path is not None:
        predictor.save_state(state, path)
        state = predictor.load_state(path, FRAMES)
    answers.append(predictor.add_new_points_or_box(state, 2, "two", **CLICK)[2])
    answers += [masks for _, _, masks in predictor.propagate_in_video(state, start_frame_idx=3)]
    shown = [predictor.masks_on_frame(state, frame)[2] for frame in range(LENGTH)]
    return [*answers, *shown], state


LIMITS = {
    "host": dict(host_bytes=3 * RESULT),
    "no host memory": dict(host_bytes=0),
    "device": dict(device_bytes=2000),
    "nothing anywhere": dict(device_bytes=0, host_bytes=0),
}


@pytest.mark.parametrize("name", LIMITS)
def test_answers_do_not_depend_on_where_arrays_are_kept(model_and_params, name):
    expected, _ = play(SAM2VideoPredictor(*model_and_params))
    limits = SessionLimits(**LIMITS[name])
    predictor = SAM2VideoPredictor(*model_and_params, limits=limits)
    answers, state = play(predictor)
    for mine, plain in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(mine, plain)
    storage = predictor.runtime.storage
    if limits.host_bytes < 10_000:
        assert storage.host.bytes <= limits.host_bytes and storage.scratch.bytes > 10 * RESULT
    assert storage.device.bytes <= limits.device_bytes
    del state
    gc.collect()
    assert storage.host.bytes == storage.device.bytes == storage.scratch.bytes == 0


def test_many_sessions_share_the_limits_of_their_predictor(model_and_params):
    limits = SessionLimits(device_bytes=100_000, host_bytes=4 * RESULT)
    predictor = SAM2VideoPredictor(*model_and_params, limits=limits)
    states = [predictor.init_state(FRAMES) for _ in range(5)]
    for state in states:
        predictor.add_new_points_or_box(state, 0, 1, **CLICK)
        list(predictor.propagate_in_video(state, need_output=False))
        storage = predictor.runtime.storage
        assert storage.device.bytes <= limits.device_bytes and storage.host.bytes <= limits.host_bytes
    expected = [masks for _, _, masks in predictor.propagate_in_video(states[0])]
    np.testing.assert_array_equal(expected, [predictor.masks_on_frame(states[3], f)[2] for f in range(LENGTH)])


def test_an_idle_session_leaves_the_device(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params)
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    whole = [masks for _, _, masks in predictor.propagate_in_video(state)]
    assert predictor.runtime.storage.device.bytes > 0
    state.leave_device()
    assert predictor.runtime.storage.device.bytes == 0
    np.testing.assert_array_equal([m for _, _, m in predictor.propagate_in_video(state, 5)], whole[5:])


def test_ranges_of_the_scratch_file_are_used_again(tmp_path):
    storage = Storage(SessionLimits(host_bytes=0, scratch_folder=tmp_path))
    for round_ in range(10):
        kept = [storage.host.keep(np.full((8, 8), value + round_, np.float32)) for value in range(4)]
        assert [int(one.get()[0, 0]) for one in kept] == [round_, round_ + 1, round_ + 2, round_ + 3]
        del kept
    assert storage.scratch._end == 4 * 8 * 8 * 4
    assert not list(tmp_path.iterdir())  # it has no name


def test_what_was_used_last_stays():
    storage = Storage(SessionLimits(device_bytes=2 * 400, host_bytes=None))
    first, second = (storage.device.keep(jnp.full(100, float(value))) for value in range(2))
    first.get()
    third = storage.device.keep(jnp.full(100, 2.0))
    assert [one.on_device for one in (first, second, third)] == [True, False, True]
    dropped = storage.device.keep(jnp.zeros(100), droppable=True)
    for one in (first, third):
        one.get()
    storage.device.keep(jnp.zeros(100))
    assert dropped.get() is None and second.get()[0] == 1


def test_half_precision_halves_the_bytes_and_keeps_its_promise(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params, limits=SessionLimits(half_precision=True))
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 4, 1, **CLICK)
    whole = SAM2VideoPredictor(*model_and_params)
    plain = whole.init_state(FRAMES)
    whole.add_new_points_or_box(plain, 4, 1, **CLICK)
    assert whole.runtime.storage.host.bytes - predictor.runtime.storage.host.bytes == 2 * 16 * 16
    half, exact = (s.objects[1].pending[4][0].logits for s in (state, plain))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, exact, rtol=2**-11, atol=1e-7)


def test_frames_beyond_the_limit_are_forgotten_but_not_what_the_user_said(model_and_params):
    predictor = SAM2VideoPredictor(*model_and_params, limits=SessionLimits(frames=3))
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    passed = [masks for _, _, masks in predictor.propagate_in_video(state)]
    assert set(state.objects[1].tracked) == {LENGTH - 3, LENGTH - 2, LENGTH - 1}
    assert (predictor.masks_on_frame(state, 5)[2] == -1024).all()
    for frame in (0, LENGTH - 1):
        np.testing.assert_array_equal(predictor.masks_on_frame(state, frame)[2], passed[frame])
    again = [masks for _, _, masks in predictor.propagate_in_video(state)]
    np.testing.assert_array_equal(again, passed)


@pytest.mark.parametrize("name", ["device_bytes", "host_bytes", "frames"])
def test_a_limit_below_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"SessionLimits.{name} is -1; expected"):
        SessionLimits(**{name: -1})


def test_a_session_that_was_saved_goes_on_bit_for_bit(model_and_params, tmp_path):
    predictor = SAM2VideoPredictor(*model_and_params)
    expected, _ = play(predictor)
    answers, _ = play(predictor, tmp_path / "one.session")
    for mine, plain in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(mine, plain)
    assert [path.name for path in tmp_path.iterdir()] == ["one.session"]


def test_a_session_of_something_else_is_refused_in_a_sentence(model_and_params, tmp_path):
    predictor, path = SAM2VideoPredictor(*model_and_params), tmp_path / "one.session"
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    predictor.save_state(state, path)
    with pytest.raises(ValueError, match=rf"of a video of {LENGTH} frames; this one has {LENGTH - 1}"):
        predictor.load_state(path, FRAMES[:-1])
    other = SAM2VideoPredictor(*small_model(recent_frames=4))
    with pytest.raises(ValueError, match="of another model: its recent_frames is 6, not 4"):
        other.load_state(path, FRAMES)
    with pytest.raises(FileNotFoundError, match="There is no session"):
        predictor.load_state(tmp_path / "none", FRAMES)
    state.objects[(1, 2)] = state.objects[1]
    with pytest.raises(ValueError, match="cannot be saved; expected a whole number or text"):
        predictor.save_state(state, path)


def test_a_damaged_file_ends_in_a_sentence(model_and_params, tmp_path):
    predictor, path = SAM2VideoPredictor(*model_and_params), tmp_path / "one.session"
    state = predictor.init_state(FRAMES)
    predictor.add_new_points_or_box(state, 0, 1, **CLICK)
    list(predictor.propagate_in_video(state))
    predictor.save_state(state, path)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(100):
        damaged = bytearray(whole[: rng.integers(1, len(whole))] if rng.random() < 0.3 else whole)
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(ValueError):  # whatever else is raised is a bug
            predictor.load_state(path, FRAMES)
            refused -= 1
        refused += 1
    assert refused > 90
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is not a whole session"):
        predictor.load_state(path, FRAMES)
