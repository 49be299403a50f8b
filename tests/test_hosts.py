# SPDX-License-Identifier: Apache-2.0
"""The hosts of a run end together: what fails on one is told by all, and none waits for one that is gone.

In: two processes on this machine (`two_hosts.py`), or a tiny training in two.
"""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from run_cases import ROOT, finish, records, start_hosts, steps_of, until

from train.endings import NonFiniteLoss, Preempted, ending

TWO_MINUTES = 120


def two_hosts(failing: int | None = None, failure: str = "") -> list[subprocess.Popen]:
    """Two processes, after their first steps."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "COLUMNS": "500"}
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    commands = [
        [sys.executable, str(ROOT / "tests/two_hosts.py"), address, str(host), *[failure] * (host == failing)]
        for host in range(2)
    ]
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    for process in processes:
        assert any("three steps are done" in line for line in process.stdout)
    return processes


@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize(
    ("failure", "code", "said"), [("bug", 1, "RuntimeError: [a bug]"), ("input", 2, "[bad input]")]
)
def test_an_exception_on_one_host_ends_all_with_its_words_and_exit_code(host, failure, code, said):
    processes, began = two_hosts(host, failure), time.monotonic()
    texts = [finish(process, code) for process in processes]
    assert time.monotonic() - began < TWO_MINUTES / 4
    for number, text in enumerate(texts):
        assert said in text
        assert ("Traceback" in text and "two_hosts.py" in text) == (failure == "bug"), text
        assert (f"process {host} of 2 failed, which ends all of them" in text) == (number != host), text


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Preempted("Asked to end: step 3 is saved."), 75, "Asked to end: step 3 is saved."),
        (NonFiniteLoss("The loss is nan."), 3, "error: The loss is nan."),
        (OSError("The disk is full."), 2, "error: The disk is full."),
        (ValueError("UNKNOWN: Connection closed by peer"), 1, "ValueError: UNKNOWN: Connection closed by peer"),
        (RuntimeError("a bug"), 1, "RuntimeError: a bug"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes_tell_what_people_can_mend_from_bugs_and_broken_machines(error, code, said):
    assert ending(error) == (code, said)


@pytest.mark.slow
@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "out of reach"])
def test_a_host_that_is_gone_without_a_word_ends_the_other_within_two_minutes(host, ended_by):
    processes = two_hosts()
    try:
        processes[host].send_signal(ended_by)
        processes[1 - host].wait(TWO_MINUTES)
        assert processes[1 - host].returncode not in (0, 2)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "kind", "code", "said"), [(0, "input", 2, "error: [bad input]"), (1, "bug", 1, "RuntimeError: [a bug]")]
)
def test_broken_data_on_one_host_ends_a_training_and_its_checkpoint_is_whole(host, kind, code, said, tmp_path):
    processes = start_hosts(tmp_path, f"{host}:{kind}", ["checkpoints.every=1"], config="failing_run")
    until(tmp_path, 1, processes[0])
    for number, process in enumerate(processes):
        text = finish(process, code)
        assert f"{said} in a source" in text
        assert (f"process {host} of 2 failed, which ends all of them" in text) == (number != host), text
    assert steps_of(tmp_path)[-1] == records(tmp_path)[-1]["step"]  # what was being written is finished
