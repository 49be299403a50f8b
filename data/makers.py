# SPDX-License-Identifier: Apache-2.0
"""Where the examples of a batch are made, several at a time: in threads of this process, or in others.

In: opened streams, and which examples are wanted. Out: a batch, filled. Threads share what a source keeps at hand, and
nothing is copied; they do for data that is decoded, which lets other threads run. What is drawn in Python, such as the
synthetic sources, holds its lock, and is made faster in processes.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import connection

import cv2

from data.config import DataConfig
from data.examples import Batch, Report, Stream, empty_batch, write_example
from data.source import BrokenExample

# In a process that makes examples for another: what of.
_config: DataConfig
_streams: Sequence[Stream]


class Makers:
    """Threads or processes, as the config says, until closed.

    Args:
        streams: what examples are of.
        report: told of what could not be used.
    """

    def __init__(self, config: DataConfig, streams: Sequence[Stream], report: Report):
        self._config, self._report = config, report
        if config.processes:
            # New ones, not forks: this process may have threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(config.processes, context, _begin, (config, streams))
        else:
            self._pool = ThreadPoolExecutor(config.threads, thread_name_prefix="make-example")

    def fill(self, stream: Stream, turns: Sequence[tuple[int, int]], batch: Batch) -> None:
        """Fills all places of a batch; their examples' positions in the stream and videos are given.

        Raises:
            BrokenExample: the data is broken and `config.on_error` is "raise".
        """
        if self._config.processes:
            makings = [self._pool.submit(_make, stream.number, position, video) for position, video in turns]
            for place, making in enumerate(makings):
                example, findings = making.result()
                findings.tell(self._report)
                _copy(example, batch, place)
            return
        makings = [
            self._pool.submit(write_example, stream, self._config, position, video, batch, place, self._report)
            for place, (position, video) in enumerate(turns)
        ]
        for making in makings:
            making.result()

    def close(self) -> None:
        """Ends them; what was not begun is dropped."""
        self._pool.shutdown(cancel_futures=True)


class _Findings:
    """What a process could not use, for the `Report` of the process that asked."""

    def __init__(self):
        self._told = []

    def add_broken(self, error: BrokenExample) -> None:
        self._told.append((Report.add_broken, (error,)))

    def add_unsuitable(self, source: str, video: str) -> None:
        self._told.append((Report.add_unsuitable, (source, video)))

    def tell(self, report: Report) -> None:
        for add, findings in self._told:
            add(report, *findings)


def _begin(config: DataConfig, streams: Sequence[Stream]) -> None:
    """In a new process: keeps what it makes examples of."""
    global _config, _streams
    _config, _streams = config, streams
    cv2.setNumThreads(1)
    # Asking a run to end is asking its first process, which still needs examples until it has saved a checkpoint.
    for request in (signal.SIGINT, signal.SIGTERM):
        signal.signal(request, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _make(number: int, position: int, video: int) -> tuple[Batch, _Findings]:
    """In such a process: an example of stream `number`, as a batch of one."""
    stream, findings = _streams[number], _Findings()
    example = empty_batch(stream.entry, _config.image_size, 1)
    write_example(stream, _config, position, video, example, 0, findings)
    return example, findings


def _copy(example: Batch, batch: Batch, place: int) -> None:
    for name, value in example.items():
        if isinstance(value, dict):
            _copy(value, batch[name], place)
        else:
            batch[name][place] = value[0]
