# SPDX-License-Identifier: Apache-2.0
"""This project's clips, on one thread, in a process of its own, as `scripts.benchmarks.pytorch_data` makes the other's.

In: a folder of JPEGImages and Annotations, and for each line of standard input one clip to make. Out: lines as
`scripts.benchmarks.data.ClipMaker` reads them.
"""

import sys
import time

import cv2

from data.config import DataConfig, Entry
from data.examples import Report, empty_batch, open_stream, write_example
from data.formats.palette_folder import palette_folder
from data.sampling import ClipRule


def _work(folder: str, frames: int, objects: int, image_size: int) -> None:
    cv2.setNumThreads(1)
    config = DataConfig((Entry(palette_folder(folder), clip=ClipRule(frames, objects)),), image_size)
    stream = open_stream(config, 0, config.entries[0].source, Report())
    for video in stream.videos:
        stream.source.video(video)  # the published data set, too, knows its videos before it is timed
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin):
        begin = time.process_time()
        batch = empty_batch(stream.entry, image_size, 1)
        write_example(stream, config, number, number % len(stream.videos), batch, 0, Report())
        seconds = time.process_time() - begin
        print("done", seconds, batch["frames"].nbytes + batch["masks"].nbytes, flush=True)


if __name__ == "__main__":
    _work(sys.argv[1], *map(int, sys.argv[2:]))
