# SPDX-License-Identifier: Apache-2.0
"""The processes of one run, one on each host: they find each other, and where one fails, all end.

In: who is who, or nothing where the machines tell. Out: one run, whose processes end within two minutes of each other.

A process whose neighbor fails waits for it in a collective, for ever. So one that fails says so in the key-value store
of `jax.distributed`; a thread of every other process looks there, says why the run ends, and ends its process with the
same exit code. A process that dies without a word is missed after `HEARTBEAT` seconds by `jax.distributed` itself.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import jax
from jax._src import distributed  # the key-value store has no public name (jax 0.10)

from train.endings import Preempted, ending, say

HEARTBEAT = 60  # seconds
_LOOKS_EVERY = 1.0  # seconds
_GRACE = 30.0  # seconds that a process which has failed may take to finish the checkpoint that it is writing
_FAREWELL = 10.0  # seconds that it waits then for the others to have read why
_FAILURE, _LEAVING = "train/failure", "train/leaving"
_LONGEST = 20_000  # characters of a traceback
_ending = threading.Lock()  # held by the thread that ends the process


@dataclasses.dataclass(frozen=True)
class _Failure:
    process: int
    code: int
    text: str


def connect(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes one run of the processes on all hosts: as the arguments say, or as SLURM or a TPU pod tells.

    Raises:
        ValueError: some of the three arguments are given, but not all.
    """
    given = coordinator, processes, process
    if None not in given:
        jax.distributed.initialize(coordinator, processes, process, heartbeat_timeout_seconds=HEARTBEAT)
    elif given != (None, None, None):
        raise ValueError("--coordinator, --processes and --process say one thing together; expected all three or none.")
    elif int(os.environ.get("SLURM_NTASKS", "1")) > 1 or _on_tpu():
        jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT)


def _on_tpu() -> bool:
    """Whether this is a TPU machine, alone or one of a pod: JAX finds the others itself."""
    devices = any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    return devices and importlib.util.find_spec("libtpu") is not None


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """While it is entered, an exception in one process ends all of them, and does not return.

    `Preempted` is raised by all at the same step, and passes; so does everything where there is one process.
    """
    if not _has_others():
        yield
        return
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(over,), name="watch-hosts", daemon=True)
    watcher.start()
    try:
        yield
    except Preempted:
        raise
    except BaseException as error:
        over.set()
        announce(type(error), error, None)
        _end(_announced(), _failure(error))
    finally:
        over.set()
        watcher.join()


def announce(kind: type | None, error: BaseException | None, traceback: object) -> None:
    """Tells the other processes of an exception; `ExitStack.push` takes it, as the first of what is done at an exit.

    Otherwise they would be told after this process has waited for its checkpoint, which takes a while at worst.
    """
    if error is None or isinstance(error, Preempted) or not _has_others():
        return
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # another process was first, or the store is gone
        _store().key_value_set(_FAILURE, json.dumps(dataclasses.asdict(_failure(error))))


def _has_others() -> bool:
    return jax.distributed.is_initialized() and distributed.global_state.num_processes > 1


def _store():
    return distributed.global_state.client


def _failure(error: BaseException) -> _Failure:
    code, text = ending(error)
    return _Failure(distributed.global_state.process_id, code, text[-_LONGEST:])


def _announced() -> _Failure | None:
    """The first failure of any process."""
    try:
        return _Failure(**json.loads(_store().key_value_try_get(_FAILURE)))
    except jax.errors.JaxRuntimeError:  # there is none, or the store is gone, which `jax.distributed` notices itself
        return None


def _watch(over: threading.Event) -> None:
    while not over.wait(_LOOKS_EVERY):
        failure = _announced()
        if failure is None:
            continue
        # The process that failed ends itself, but is not to hang in that.
        if failure.process == distributed.global_state.process_id and over.wait(_GRACE):
            return
        _end(failure)


def _end(first: _Failure | None, own: _Failure | None = None) -> NoReturn:
    """Says why the run ends, and ends the process when all have come to know it.

    Args:
        first: the failure that was announced, of any process; None where the store is gone.
        own: this process's, which may follow from that.
    """
    with _ending:
        state = distributed.global_state
        first = first or own
        try:
            if own is not None:
                say(own.text)
            if own is None or (own.process != first.process and own.text != first.text):
                say(f"process {first.process} of {state.num_processes} failed, which ends all of them:\n{first.text}")
            sys.stdout.flush()
            patience = _FAREWELL if first.process == state.process_id else _GRACE + _FAREWELL
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # one of them cannot come any more
                _store().wait_at_barrier(_LEAVING, int(1000 * patience))
            if state.process_id == 0:
                time.sleep(_LOOKS_EVERY)  # the store is here, and the others' answer from it is on its way
        finally:
            # Python's own exit would wait for the others at a barrier of `jax.distributed`, where they do not come.
            os._exit(first.code)
