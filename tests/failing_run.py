# SPDX-License-Identifier: Apache-2.0
"""The tiny run, whose data fails on one of its hosts: `get_config("HOST:KIND")`, after its first batches."""

import dataclasses
import itertools

import tiny_run
from jax._src import distributed

from data.synthetic import SyntheticPictures
from train.config import TrainConfig

READ = 2 * tiny_run.PICTURES.batch_size // 2  # clips in a host's first two batches, where there are two hosts
ERRORS = {"bug": (RuntimeError, "[a bug] in a source"), "input": (ValueError, "[bad input] in a source")}


class FailingPictures(SyntheticPictures):
    """Fails from a certain number of reads on.

    Args:
        error: what it raises then, and with what words; None for never.
    """

    def __init__(self, error: tuple[type[Exception], str] | None):
        super().__init__(0, 16, size=64)
        self._error, self._reads = error, itertools.count()

    def frames(self, index, frames):
        if next(self._reads) >= READ and self._error is not None:
            kind, words = self._error
            raise kind(words)
        return super().frames(index, frames)


def get_config(word: str) -> TrainConfig:
    """A run of two hosts, of which HOST fails by a KIND of error."""
    host, kind = word.split(":")
    fails = distributed.global_state.process_id == int(host)
    config = tiny_run.get_config("pictures")
    entry = dataclasses.replace(tiny_run.PICTURES, source=FailingPictures(ERRORS[kind] if fails else None))
    return dataclasses.replace(config, data=dataclasses.replace(config.data, entries=(entry,), prefetch=1))
