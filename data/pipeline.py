# SPDX-License-Identifier: Apache-2.0
"""From sources to the batches of every training step: shuffled, cut into clips, changed, mixed, dealt to hosts.

In: a `DataConfig`, the step to begin with, and which host this is. Out: an iterator of batches, dicts of NumPy arrays
(`data.examples.empty_batch` tells their shapes).

A step determines its examples, whatever the number of threads, processes or hosts. The mixture says that step `s` is
the `k`-th batch of one entry; its B examples have the positions `k * B` to `(k + 1) * B` in that entry's endless
stream, which goes through all its videos in one random order after another. Host 0 makes the first of them, and the
last host the last, so that a clip's place in the whole batch, by which its clicks are drawn, does not depend on the
number of hosts. So the step is all that need be remembered: to begin at step `s` equals never having stopped, also on
other hosts.
"""

from collections.abc import Iterator

import grain
import numpy as np

from data.config import DataConfig, Entry
from data.examples import Batch, Report, Stream, empty_batch, open_stream
from data.makers import Makers
from data.source import Source
from data.sources import open_source


class Batches(Iterator[Batch]):
    """The batches of one host, from a step on, without end. Batches are made ahead; close it, or use `with`.

    The entries take turns as their weights say, to about one per cent of the smallest, and every host makes the same
    turns.

    Args:
        config: what to mix.
        step: which batch comes first.
        host: which host this is.
        hosts: how many there are.

    Attributes:
        report: what could not be used so far.
        streams: the opened entries.
        buffer_bytes: at most so much memory is held by batches made ahead.

    Raises:
        ValueError: the hosts do not divide a batch, or a source has nothing to draw.
        BrokenExample: from `next`, where data is broken and `config.on_error` is "raise".
    """

    def __init__(self, config: DataConfig, step: int = 0, host: int = 0, hosts: int = 1):
        if not 0 <= host < hosts or step < 0:
            raise ValueError(f"Host {host} of {hosts} cannot begin with step {step}.")
        for entry in config.entries:
            if entry.batch_size % hosts:
                raise ValueError(f"A batch of {entry.batch_size} clips cannot be dealt to {hosts} hosts alike.")
        self.report = Report()
        self.streams = [
            open_stream(config, number, source, self.report)
            for number, source in enumerate(map(_opened, config.entries))
        ]
        largest = max(
            _bytes(empty_batch(entry, config.image_size, entry.batch_size // hosts)) for entry in config.entries
        )
        self.buffer_bytes = config.prefetch * largest
        self._config = config
        self._makers = Makers(config, self.streams, self.report)
        mixture = grain.MapDataset.mix(
            [self._batches_of(stream, host, hosts) for stream in self.streams],
            [entry.weight for entry in config.entries],
        )
        # These threads only wait: each gathers one batch, whose examples the makers make.
        ahead = grain.ReadOptions(num_threads=config.prefetch, prefetch_buffer_size=config.prefetch)
        self._batches = iter(mixture[step:].to_iter_dataset(ahead))

    def __next__(self) -> Batch:
        return next(self._batches)

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads and processes; what was made ahead is dropped."""
        self._makers.close()
        self._batches.close()

    def _batches_of(self, stream: Stream, host: int, hosts: int) -> grain.MapDataset:
        config, size = self._config, stream.entry.batch_size // hosts
        mine = slice(host * size, (host + 1) * size)
        order = np.random.SeedSequence((config.seed, stream.number)).generate_state(1)[0]

        def make(turns: list[tuple[int, int]]) -> Batch:
            """This host's part of a batch, of whose B examples the positions and videos are given."""
            batch = empty_batch(stream.entry, config.image_size, size)
            self._makers.fill(stream, turns[mine], batch)
            return batch

        return (
            grain.MapDataset.source(stream.videos)
            .shuffle(seed=int(order))
            .repeat()
            .map_with_index(lambda position, video: (position, video))
            .batch(stream.entry.batch_size, drop_remainder=True, batch_fn=list)
            .map(make)
        )


def _opened(entry: Entry) -> Source:
    return open_source(entry.source) if isinstance(entry.source, str) else entry.source


def _bytes(batch: Batch) -> int:
    return sum(_bytes(value) if isinstance(value, dict) else value.nbytes for value in batch.values())
