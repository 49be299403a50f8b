# SPDX-License-Identifier: Apache-2.0
"""One of two processes that do nothing but wait for each other: `python two_hosts.py ADDRESS PROCESS FAILURE`."""

import sys
import time

import jax
from jax.experimental import multihost_utils

from train.endings import ending, say
from train.hosts import connect, ending_together


def fail() -> None:
    kind, words = FAILURES[sys.argv[3]]
    raise kind(words)


FAILURES = {"bug": (RuntimeError, "[a bug] here"), "input": (ValueError, "[bad input] here")}

if __name__ == "__main__":
    connect(sys.argv[1], 2, int(sys.argv[2]))
    try:
        with ending_together():
            for step in range(1_000_000):
                multihost_utils.process_allgather(jax.numpy.ones(()))
                if step == 3:
                    print("three steps are done", flush=True)
                    if len(sys.argv) > 3:
                        fail()
                time.sleep(0.02)
    except Exception as error:
        code, text = ending(error)
        say(text)
        sys.exit(code)
