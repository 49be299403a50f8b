# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.prepare_dataset NAME SRC DST`: a data set on disk as a TFDS data set that training reads fast.

In: videos or pictures with masks, in any layout that `data.sources` knows. Out: DST/NAME/1.0.0 with ArrayRecord files,
TFDS's metadata, checksums and a report. Killed and called again, it goes on where it was.
"""

import json as json_format
import re
import time
from pathlib import Path
from typing import Annotated, Literal

import cv2
import tyro
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sam2_jax.media.paths import as_path
from scripts.command import console, run

Name = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
Src = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
Dst = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
Part = Annotated[str, tyro.conf.arg(metavar="I/N")]
Options = Annotated[str | None, tyro.conf.arg(metavar="OPTIONS")]
_SHOWN = 20  # of the videos that were left out; all of them are in report.json


def prepare_dataset(
    name: Name,
    src: Src,
    dst: Dst,
    split: Literal["train", "validation", "test"] = "train",
    shard: Part = "1/1",
    on_error: Literal["raise", "skip"] = "raise",
    frames: Literal["all", "annotated"] | None = None,
    videos_per_shard: int | None = None,
    workers: int | None = None,
    beam: Options = None,
    json: bool = False,
) -> None:
    """Writes a data set to ArrayRecord files, with TFDS's metadata. TensorFlow is not needed.

    Args:
        name: sa_v, mose, youtube_vos, davis or sa_1b; or what data of your own is to be called.
        src: Where the data is: PATH?OPTION=VALUE&... or LAYOUT:PATH?..., see data/README.md.
        dst: The data set goes to DST/NAME/1.0.0, which is made.
        split: What to call the split. The others can be added by further runs.
        shard: The part that this machine writes, 1/N to N/N. Whoever finds all of it there finishes the data set.
        on_error: What to do with a broken video: stop, or leave it out and report it.
        frames: Which frames to store; without it, all, but of the train split of sa_v those with masks.
        videos_per_shard: How many videos go into one file; the data set's own number without it.
        workers: How many videos are read at once; as many as there are processors without it.
        beam: Run in Apache Beam, through TFDS, with these options of its own: --beam="--runner=DirectRunner ...".
        json: Print the report on the split.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of a data set: expected small letters, digits and underscores.")
    if (parts := re.fullmatch("([0-9]+)/([0-9]+)", shard)) is None:
        raise ValueError(f"{shard!r} is no part: expected I/N, from 1/N to N/N.")
    for option, value in (("--videos-per-shard", videos_per_shard), ("--workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{option} is at least 1, but {value} came.")

    cv2.setNumThreads(1)  # each worker has a video of its own
    from data.prepared.builders import BUILDERS, PreparedVideos
    from data.prepared.shards import missing_shards, prepare  # TFDS takes a second to load
    from data.sources import open_source

    known = name in BUILDERS and not re.match("[a-z0-9_]+:", src)
    builder = BUILDERS.get(name, PreparedVideos)(
        open_source(f"{name}:{src}" if known else src),
        split,
        data_dir=as_path(dst),
        name=name,
        frames=frames,
        videos_per_shard=videos_per_shard,
        skip_broken=on_error == "skip",
    )
    if beam is not None:
        _prepare_in_beam(builder, beam)
        return

    number, of = map(int, parts.groups())
    columns = TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}")
    start, videos, size, found = time.monotonic(), 0, 0, 0
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        mine = range(number - 1, builder.shards, of)
        task = bar.add_task("", total=sum(len(builder.videos_of(shard)) for shard in mine), rate="")

        def show(progress) -> None:
            nonlocal videos, size, found
            if progress.found:
                found += 1
            else:
                videos, size = videos + progress.videos, size + progress.size
            seconds = time.monotonic() - start
            rate = f"{videos / seconds:.2f} videos/s, {decimal(int(size / seconds))}/s" if videos else ""
            bar.update(task, advance=progress.videos, rate=rate)

        report = prepare(builder, (number, of), workers, show)
    seconds = time.monotonic() - start
    remark = f"; {found} shard(s) were whole already" if found else ""
    console.print(f"{videos} video(s), {decimal(size)}, written in {seconds:.1f} s{remark}")
    if report is None:
        left = missing_shards(builder)
        console.print(f"{len(left)} of {builder.shards} shards are not there yet: run the other parts of --shard.")
        return
    for skipped in report["skipped"][:_SHOWN]:
        console.print(f"[yellow]left out:[/] video {skipped['video']}:", skipped["why"], soft_wrap=True)
    if len(report["skipped"]) > _SHOWN:
        console.print(f"and {len(report['skipped']) - _SHOWN} more, in report.json")
    told = f"{report['videos']} video(s), {report['frames']} frame(s), {report['masks']} mask(s)"
    console.print(f"{told}, {decimal(report['bytes'])}, are in {builder.data_dir}", soft_wrap=True)
    if json:
        print(json_format.dumps(report, indent=1))


def _prepare_in_beam(builder, options: str) -> None:
    import tensorflow_datasets as tfds

    try:
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    except ModuleNotFoundError:
        raise ValueError("--beam needs Apache Beam: pip install apache-beam.") from None
    if builder.data_path.exists():
        raise FileExistsError(f"{builder.data_path} exists already; with --beam, give a new folder.")
    pipeline = PipelineOptions(options.split())
    runner = pipeline.view_as(StandardOptions).runner or "DirectRunner"
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(beam_runner=runner, beam_options=pipeline)
    )
    console.print(f"{builder.info.splits.total_num_examples} video(s) are in {builder.data_dir}", soft_wrap=True)


if __name__ == "__main__":
    run(prepare_dataset)
