# SPDX-License-Identifier: Apache-2.0
"""The hosts of a run begin and end together: what fails on one is told by all, and none waits for one that is gone.

In: two processes on this machine, with a device each.
"""

import signal
import time

import pytest
from run_cases import finish, records, start_hosts, steps_of, until

TWO_MINUTES = 120


@pytest.mark.parametrize(
    ("host", "kind", "code", "said"), [(0, "input", 2, "error: [bad input]"), (1, "bug", 1, "RuntimeError: [a bug]")]
)
def test_an_exception_on_one_host_ends_all_with_its_words_and_exit_code(host, kind, code, said, tmp_path):
    processes = start_hosts(tmp_path, f"{host}:{kind}", ["checkpoints.every=1"], config="failing_run")
    until(tmp_path, 1, processes[0])
    began = time.monotonic()
    texts = [finish(process, code) for process in processes]
    assert time.monotonic() - began < TWO_MINUTES / 4
    for number, text in enumerate(texts):
        assert f"{said} in a source" in text
        assert ("Traceback" in text and "failing_run.py" in text) == (kind == "bug"), text
        assert (f"process {host} of 2 failed, which ends all of them" in text) == (number != host), text
    assert steps_of(tmp_path)[-1] == records(tmp_path)[-1]["step"]  # what was being written is finished


@pytest.mark.slow
@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "out of reach"])
def test_a_host_that_is_gone_without_a_word_ends_the_others_within_two_minutes(host, ended_by, tmp_path):
    processes = start_hosts(tmp_path, sets=["steps=100000", "checkpoints.every=100000"])
    until(tmp_path, 1, processes[0])
    try:
        processes[host].send_signal(ended_by)
        processes[1 - host].wait(TWO_MINUTES)
        assert processes[1 - host].returncode != 0
    finally:
        for process in processes:
            process.kill()
            process.communicate()
