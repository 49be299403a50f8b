# SPDX-License-Identifier: Apache-2.0
"""What training data is made of: sources, how clips are cut and changed, and in which proportion they are mixed.

In: an experiment's numbers. Out: one frozen `DataConfig`, for `data.pipeline`.
"""

import dataclasses
from typing import Literal

from data.augmentation import VIDEO_AUGMENTATION, Augmentation
from data.sampling import VIDEO_RULE, ClipRule
from data.source import Source


@dataclasses.dataclass(frozen=True)
class Entry:
    """One source of a mixture.

    Attributes:
        source: a source, or what `data.sources.open_source` makes one of.
        weight: how often a batch is from this source, beside the weights of the others.
        batch_size: B, how many clips a batch has, over all hosts.
        clip: how clips are cut out of the videos.
        augmentation: how clips are changed.
    """

    source: str | Source
    weight: float = 1.0
    batch_size: int = 1
    clip: ClipRule = VIDEO_RULE
    augmentation: Augmentation = VIDEO_AUGMENTATION

    def __post_init__(self):
        if not self.weight > 0 or self.batch_size < 1:
            raise ValueError(
                "A source of a mixture has a weight above 0 and a batch size of at least 1, but "
                f"{self.weight} and {self.batch_size} came."
            )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data of a training.

    Attributes:
        entries: the mixture; each batch is from one of them (section D.2.2).
        image_size: S, the side of the frames, pixels.
        seed: everything that is drawn comes from it.
        threads: how many clips are made at a time.
        processes: how many processes make them in place of threads, for sources that hold Python's lock; 0 for none.
        prefetch: how many batches are made ahead of the one in use; they are what takes memory.
        on_error: what a broken example does: "raise" stops, "skip" puts another one in its place and reports it.
    """

    entries: tuple[Entry, ...]
    image_size: int = 1024
    seed: int = 0
    threads: int = 16
    processes: int = 0
    prefetch: int = 2
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self):
        if not self.entries:
            raise ValueError("A mixture needs at least one source, but none came.")
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f'on_error is "raise" or "skip", but {self.on_error!r} came.')
        if min(self.image_size, self.threads, self.prefetch) < 1 or min(self.processes, self.seed) < 0:
            raise ValueError(
                "image_size, threads and prefetch are at least 1 and processes and seed at least 0, but "
                f"{self.image_size}, {self.threads}, {self.prefetch}, {self.processes} and {self.seed} came."
            )
