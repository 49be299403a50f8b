# SPDX-License-Identifier: Apache-2.0
"""A TFDS data set written shard by shard, in threads, so that it can be killed at any moment and gone on with.

In: a builder (`data.prepared.builders`), and which part of its shards is this machine's. Out: in the builder's folder,
the ArrayRecord files, beside each in facts/ the same records without pictures and masks, a note on it in notes/, and,
once all are there, TFDS's metadata, checksums.sha256 and report.json. However it was interrupted and whoever wrote
which shard, the folder ends up the same, byte for byte.
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from data.prepared.builders import SPLITS, PreparedVideos, facts_path, write_records
from data.prepared.schema import facts_of, serialize
from data.source import BrokenExample
from sam2_jax.media.paths import as_path, is_remote


@dataclasses.dataclass(frozen=True)
class Progress:
    """What has happened since `prepare` last said so: `videos` more are settled.

    `size` is what they came to, in bytes, and `found` that they were on disk from an earlier run.
    """

    videos: int
    size: int
    found: bool = False


def prepare(
    builder: PreparedVideos,
    part: tuple[int, int] = (1, 1),
    workers: int | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict | None:
    """Writes what is missing of a part of the shards and then, if all are there, the metadata.

    A shard whose file has the checksum in its note is left as it is; but not one that left out broken videos, unless
    the builder still skips them. Others appear whole or not at all.

    Args:
        builder: what to write, and where.
        part: (i, n), from (1, n) to (n, n): every n-th shard from the i-th on is written, and the others by others.
        workers: how many videos are read at once; as many as there are processors without it.
        on_progress: called in this thread.

    Returns:
        The report on the split, or None where shards of other parts are not there yet.

    Raises:
        BrokenExample: a video is broken, and the builder does not skip it. Of its shard nothing stays behind.
        ValueError: there is no such part, or the folder is in a bucket, or holds shards of another source or another
            division.
    """
    if is_remote(as_path(builder.data_dir)):
        raise ValueError(
            f"{builder.data_dir} is in a bucket, where data are read but not prepared: prepare them in a folder of "
            "this machine, and copy it there with gcloud storage cp -r."
        )
    number, parts = part
    if not 1 <= number <= parts:
        raise ValueError(f"There is no part {number}/{parts}; expected 1/{parts} to {parts}/{parts}.")
    workers = workers or os.cpu_count() or 1
    for name in ("facts", "notes"):
        (_folder(builder) / name).mkdir(parents=True, exist_ok=True)
    notes = {shard: _read_note(builder, shard) for shard in range(builder.shards)}
    _check_same_preparation(builder, notes)
    mine = range(number - 1, builder.shards, parts)
    pool = ThreadPoolExecutor(workers)
    try:
        missing = []
        for shard, whole in zip(mine, pool.map(lambda shard: _is_whole(builder, notes[shard]), mine)):
            if whole and (builder.skip_broken or not notes[shard]["skipped"]):
                on_progress(Progress(len(builder.videos_of(shard)), notes[shard]["shard"]["bytes"], found=True))
            else:
                missing.append(shard)
        videos = itertools.chain.from_iterable(builder.videos_of(shard) for shard in missing)
        answers = _in_order(pool, lambda index: _record(builder, index), videos, workers + 2)
        for shard in missing:
            notes[shard] = _write_shard(builder, shard, answers, on_progress)
    finally:
        pool.shutdown(cancel_futures=True)
    return _finish(builder)


def missing_shards(builder: PreparedVideos) -> list[int]:
    """The numbers of the shards that nobody has written yet."""
    return [shard for shard in range(builder.shards) if _read_note(builder, shard) is None]


def _write_shard(
    builder: PreparedVideos, shard: int, answers: Iterator[tuple[int, Future]], on_progress: Callable[[Progress], None]
) -> dict:
    path = builder.shard_path(shard)
    _note_path(builder, shard).unlink(missing_ok=True)
    if path.exists():  # it is damaged or left something out, and so is what was said of the whole
        (_folder(builder) / "dataset_info.json").unlink(missing_ok=True)
    counts, facts, skipped = collections.Counter(videos=0, frames=0, masks=0), [], []

    def records() -> Iterator[bytes]:
        for index, answer in itertools.islice(answers, len(builder.videos_of(shard))):
            try:
                record = answer.result()
            except BrokenExample as error:
                if not builder.skip_broken:
                    raise
                skipped.append(dict(video=index, why=str(error)))
                on_progress(Progress(1, 0))
                continue
            counts.update(videos=1, frames=record.frames, masks=record.masks)
            facts.append(record.facts)
            on_progress(Progress(1, len(record.whole)))
            yield record.whole

    with _replacing(path) as partial, _replacing(facts_path(path)) as facts_partial:
        write_records(str(partial), records())
        write_records(str(facts_partial), facts)
        note = _origin(builder) | dict(**counts, skipped=skipped)
        note |= dict(shard=_identity(builder, path, partial), facts=_identity(builder, facts_path(path), facts_partial))
    _write_json(_note_path(builder, shard), note)
    return note


def _in_order(
    pool: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int
) -> Iterator[tuple[int, Future]]:
    """Each item with the function's answer, in their order; as many as `ahead` are under way or wait to be taken."""
    items, waiting = iter(items), collections.deque()
    while True:
        for item in itertools.islice(items, ahead - len(waiting)):
            waiting.append((item, pool.submit(function, item)))
        if not waiting:
            return
        yield waiting.popleft()


@dataclasses.dataclass(frozen=True)
class _Record:
    whole: bytes
    facts: bytes
    frames: int
    masks: int


def _record(builder: PreparedVideos, index: int) -> _Record:
    example = builder.example(index)
    frames, masks = len(example["frames"]), len(example["annotations"]["counts"])
    return _Record(serialize(example), serialize(facts_of(example)), frames, masks)


def _finish(builder: PreparedVideos) -> dict | None:
    """Writes what is said of the whole data set, of every split whose shards are all there."""
    folder, splits, report, checksums = _folder(builder), [], {}, []
    for split in SPLITS:
        paths = sorted((folder / "notes").glob(f"{split}-*.json"))
        if not paths or len(paths) != _shards_of(paths[0]):
            continue
        notes = [json.loads(path.read_text()) for path in paths]
        said = {name: notes[0][name] for name in ("source", "videos_in_source", "frames_stored")}
        said |= {name: sum(note[name] for note in notes) for name in ("videos", "frames", "masks")}
        said["bytes"] = sum(note["shard"]["bytes"] for note in notes)
        report[split] = said | dict(skipped=[skipped for note in notes for skipped in note["skipped"]])
        splits.append(builder.split_info(split, [note["videos"] for note in notes], said["bytes"]))
        files = [note[kind] for kind in ("shard", "facts") for note in notes]
        checksums += [f"{file['sha256']}  {file['file']}\n" for file in files]
    if builder.split not in report:
        return None
    if not report[builder.split]["videos"]:
        first = report[builder.split]["skipped"][0]
        raise ValueError(f"Not one video of {builder.source.name} can be read, the first because: {first['why']}")
    with _replacing(folder / "checksums.sha256") as partial:
        partial.write_text("".join(checksums))
    _write_json(folder / "report.json", report)
    with tempfile.TemporaryDirectory() as written:
        builder.write_metadata(written, splits)
        # The one without which TFDS sees no data set comes last.
        for name in ("features.json", "dataset_info.json"):
            with _replacing(folder / name) as partial:
                partial.write_bytes((Path(written) / name).read_bytes())
    return report[builder.split]


def _check_same_preparation(builder: PreparedVideos, notes: dict[int, dict | None]) -> None:
    for path in (_folder(builder) / "notes").glob(f"{builder.split}-*.json"):
        if (shards := _shards_of(path)) != builder.shards:
            raise ValueError(
                f"{builder.data_dir} holds {builder.split} in {shards} shard(s), but {builder.shards} were asked for: "
                "give the number of videos per shard and the source that it was begun with, or another folder."
            )
    for note in filter(None, notes.values()):
        for name, value in _origin(builder).items():
            if note[name] != value:
                raise ValueError(
                    f"{builder.data_dir} was begun with {note[name]} for {name}, but now it is {value}: give another "
                    "folder."
                )


def _origin(builder: PreparedVideos) -> dict:
    """What shards of one split have in common."""
    return dict(source=builder.source.name, videos_in_source=len(builder.source), frames_stored=builder.frames)


def _folder(builder: PreparedVideos) -> Path:
    return Path(builder.data_dir)


def _note_path(builder: PreparedVideos, shard: int) -> Path:
    return _folder(builder) / "notes" / f"{builder.split}-{shard:05d}-of-{builder.shards:05d}.json"


def _read_note(builder: PreparedVideos, shard: int) -> dict | None:
    path = _note_path(builder, shard)
    return json.loads(path.read_text()) if path.exists() else None


def _shards_of(note_path: Path) -> int:
    return int(note_path.stem.rpartition("-of-")[2])


def _is_whole(builder: PreparedVideos, note: dict | None) -> bool:
    """Whether a shard and its facts are what the note says."""
    if note is None:
        return False
    for file in (note["shard"], note["facts"]):
        path = _folder(builder) / file["file"]
        if not path.is_file() or path.stat().st_size != file["bytes"] or _checksum(path) != file["sha256"]:
            return False
    return True


def _identity(builder: PreparedVideos, path: Path, content: Path) -> dict:
    return dict(file=str(path.relative_to(_folder(builder))), bytes=content.stat().st_size, sha256=_checksum(content))


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: dict) -> None:
    with _replacing(path) as partial:
        partial.write_text(json.dumps(value, indent=1) + "\n")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` at the end. What killed processes left of it goes away."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        left.unlink()
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
