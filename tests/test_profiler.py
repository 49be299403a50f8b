# SPDX-License-Identifier: Apache-2.0
"""`--profile STEP:N` leaves a trace of those steps (tests/test_training_loop.py has a whole run that is traced)."""

import jax.numpy as jnp
import pytest

from train.profiler import ProfiledSteps, Profiler, parse_profiled_steps


@pytest.mark.parametrize("text", ["", "3", "0:2", "3:0", "3:2:1", "a:b", "-1:2", "1.5:2"])
def test_what_names_no_steps_gets_one_sentence(text):
    with pytest.raises(ValueError, match=f"--profile is '{text}'; expected STEP:N"):
        parse_profiled_steps(text)


def test_steps_are_counted_from_where_this_start_begins(tmp_path):
    assert parse_profiled_steps("10:5") == ProfiledSteps(10, 5)
    with pytest.raises(ValueError, match=r"--profile 3:2 ends with step 4 of this start, which has 3: .* 97 are done"):
        Profiler(ProfiledSteps(3, 2), done=97, last=100, workdir=tmp_path)
    profiler, ready = Profiler(ProfiledSteps(3, 1), done=97, last=100, workdir=tmp_path), jnp.zeros(())
    profiler.begin(99, ready)
    profiler.end(99, ready)
    assert not list(tmp_path.iterdir())
    profiler.begin(100, ready)
    profiler.end(100, ready)
    assert list((tmp_path / "profile/plugins/profile/step_100").glob("process_000.*.xplane.pb"))


def test_an_error_in_a_traced_step_leaves_what_there_is_of_the_trace(tmp_path):
    profiler = Profiler(ProfiledSteps(1, 5), done=0, last=9, workdir=tmp_path)
    profiler.begin(1, jnp.zeros(()))
    profiler.close()
    assert list(tmp_path.rglob("*.xplane.pb"))
    profiler.close()
