# SPDX-License-Identifier: Apache-2.0
"""Prepared data is what it was made of; made again, in parts or after a kill at any moment, it is the same bytes.

In: small data sets of each layout (tests/dataset_cases.py). TensorFlow is not needed to write or to read.
"""

import dataclasses
import io
import json
import multiprocessing.forkserver
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dataset_cases
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from data.formats import rle
from data.prepared import schema
from data.prepared.builders import Davis, PreparedVideos, SaV, facts_path, write_records
from data.prepared.records import Records
from data.prepared.shards import missing_shards, prepare
from data.source import BrokenExample, Video
from data.sources import open_source
from scripts import command
from scripts.prepare_dataset import prepare_dataset

ROOT = Path(__file__).parents[1]
VIDEOS, PER_SHARD, SHARDS = 11, 3, 4


def content(folder) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """More videos than fit in a few shards, in the layout of DAVIS."""
    root = tmp_path_factory.mktemp("videos")
    for video in range(VIDEOS):
        for frame in range(3):
            dataset_cases.save_frame(root / f"JPEGImages/v{video:02d}/{frame:05d}.jpg", frame + video)
            path = root / f"Annotations/v{video:02d}/{frame:05d}.png"
            dataset_cases.save_labels(path, dataset_cases.labels(frame + video))
    return root


def builder_of(videos, folder, **options) -> Davis:
    return Davis(open_source(f"davis:{videos}"), data_dir=folder, videos_per_shard=PER_SHARD, **options)


@pytest.fixture(scope="module")
def undisturbed(videos, tmp_path_factory) -> Path:
    """The folder of one whole run."""
    builder = builder_of(videos, tmp_path_factory.mktemp("undisturbed"))
    report = prepare(builder, workers=2)
    assert report["videos"] == report["videos_in_source"] == VIDEOS
    assert report["frames"] == 3 * VIDEOS and report["skipped"] == []
    return Path(builder.data_dir)


# What is read is what was stored


@pytest.mark.parametrize("layout", dataset_cases.LAYOUTS, ids=lambda layout: layout.__name__)
def test_records_equal_their_source(layout, tmp_path):
    source = open_source(layout(tmp_path / "raw").spec)
    builder = PreparedVideos(source, data_dir=tmp_path, name="own", videos_per_shard=1)
    prepare(builder, workers=2)
    records = Records(builder.data_dir)
    assert (records.name, len(records)) == ("own", len(source))
    for index in range(len(source)):
        video = source.video(index)
        assert records.video(index) == video
        frames, annotated = list(range(video.frames))[::-1], list(video.annotated)
        expected, read = source.frames(index, frames), records.frames(index, frames)
        if source.jpeg(index, 0) is not None:
            assert [records.jpeg(index, frame) for frame in frames] == [source.jpeg(index, frame) for frame in frames]
            np.testing.assert_array_equal(read, expected)
        else:
            assert read.shape == expected.shape and np.abs(read.astype(int) - expected).mean() < 2
        np.testing.assert_array_equal(records.masks(index, annotated), source.masks(index, annotated))
        np.testing.assert_array_equal(records.masks(index, annotated, [1]), source.masks(index, annotated, [1]))
        for frame in annotated:
            np.testing.assert_array_equal(records.areas(index, frame), source.areas(index, frame))


def test_of_sa_v_only_the_frames_with_masks_are_stored_to_train_on(tmp_path):
    source = open_source(dataset_cases.sa_v(tmp_path / "raw").spec)
    builder, whole = SaV(source, data_dir=tmp_path), SaV(source, "validation", data_dir=tmp_path)
    prepare(builder)
    prepare(whole)
    records = Records(builder.data_dir, "train")
    assert source.video(0).annotated == (0, 4, 8)
    assert (records.video(0).frames, records.video(0).annotated) == (3, (0, 1, 2))
    assert np.abs(records.frames(0, [0, 1, 2]).astype(int) - source.frames(0, [0, 4, 8])).mean() < 2
    np.testing.assert_array_equal(records.masks(0, [2, 0]), source.masks(0, [8, 0]))
    np.testing.assert_array_equal(records.areas(0, 1), source.areas(0, 4))
    assert Records(builder.data_dir, "validation").video(0) == source.video(0)
    # The first split says what it said before the second came.
    stored = tfds.builder_from_directory(builder.data_dir).as_data_source("train")[0]
    assert list(stored["frame_numbers"]) == [0, 4, 8]


def test_a_jpeg_file_that_opencv_reads_otherwise_is_stored_as_it_looks(videos, tmp_path):
    root = tmp_path / "print"
    shutil.copytree(videos, root)
    path = root / "JPEGImages/v00/00001.jpg"
    Image.fromarray(dataset_cases.picture(1)).convert("CMYK").save(path, quality=95)
    source = open_source(f"davis:{root}")
    builder = Davis(source, data_dir=tmp_path)
    prepare(builder)
    records = Records(builder.data_dir)
    assert records.jpeg(0, 0) == source.jpeg(0, 0) and records.jpeg(0, 1) != path.read_bytes()
    assert np.abs(records.frames(0, [1]).astype(int) - source.frames(0, [1])).mean() < 2


def test_objects_of_one_identity_are_refused(videos):
    source = open_source(f"davis:{videos}")
    video = source.video(4)
    source.video = lambda index: dataclasses.replace(video, objects=(1, 1))
    with pytest.raises(BrokenExample, match="v04 of davis has several objects of one identity"):
        schema.example(source, 4)


def test_tfds_reads_it_and_nobody_needs_tensorflow(undisturbed, videos, tmp_path):
    code = f"""
import sys
import tensorflow_datasets as tfds
builder = tfds.builder_from_directory({str(undisturbed)!r})
videos = builder.as_data_source("train")
print(builder.info.name, len(videos), videos[3]["name"].decode(), videos[3]["frames"][0][:2] == b"\\xff\\xd8")
print(len(builder.as_data_source("train[:3]")), sorted(videos[3]))
from data.prepared.records import Records
from data.prepared.shards import prepare
from data.sources import open_source
from data.prepared.builders import Davis
prepare(Davis(open_source("davis:{videos}"), data_dir={str(tmp_path)!r}))
Records({str(undisturbed)!r}).frames(0, [0])
print({{"tensorflow", "jax", "torch"}} & set(sys.modules))
"""
    lines = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    first, second, modules = lines.splitlines()
    assert first == f"davis {VIDEOS} v03 True"
    assert second == f"3 {sorted(schema.features())}"
    assert modules == "set()"


def test_records_can_be_read_from_threads_and_other_processes(undisturbed, videos):
    source, records = open_source(f"davis:{videos}"), Records(undisturbed)
    order = np.random.default_rng(0).integers(VIDEOS, size=60).tolist()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: (records.frames(index, [2]), records.masks(index, [1])), order))
    for index, (frames, masks) in zip(order, read):
        np.testing.assert_array_equal(frames, source.frames(index, [2]))
        np.testing.assert_array_equal(masks, source.masks(index, [1]))
    again = pickle.loads(pickle.dumps(records))
    np.testing.assert_array_equal(again.frames(4, [1]), source.frames(4, [1]))


def test_records_say_what_is_not_there(undisturbed, tmp_path):
    records = Records(undisturbed)
    for ask in (records.video, lambda index: records.frames(index, [0]), lambda index: records.areas(index, 0)):
        for index in (-1, VIDEOS):
            with pytest.raises(IndexError, match=f"no video {index}"):
                ask(index)
    with pytest.raises(ValueError, match="no split 'test', but train"):
        Records(undisturbed, "test")
    with pytest.raises(ValueError, match=r"holds no dataset_info\.json"):
        Records(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(undisturbed, damaged)
    shard = damaged / "davis-train.array_record-00001-of-00004"
    shard.write_bytes(shard.read_bytes()[:30000])
    with pytest.raises(BrokenExample, match=f"Record 3 in {damaged} cannot be read"):
        Records(damaged).frames(3, [0])


def test_facts_are_read_without_pictures(undisturbed, tmp_path):
    """A rule such as the most edited half asks for the facts on every video."""
    facts = tmp_path / "facts"
    shutil.copytree(undisturbed, facts)
    for shard in facts.glob("*.array_record*"):
        shard.write_bytes(b"")
    assert Records(facts).video(7) == Records(undisturbed).video(7)
    assert Records(facts).video_name(7) == Records(undisturbed).video(7).name
    without = tmp_path / "without"
    shutil.copytree(undisturbed, without, ignore=shutil.ignore_patterns("facts"))
    assert Records(without).video(7) == Records(undisturbed).video(7)


# The same bytes


def test_records_do_not_depend_on_how_much_is_in_memory_at_a_time(videos, monkeypatch):
    source = open_source(f"davis:{videos}")
    whole = schema.serialize(schema.example(source, 5))
    monkeypatch.setattr(schema, "_BLOCK_BYTES", 1)
    assert schema.serialize(schema.example(source, 5)) == whole


def test_a_record_is_what_tfds_would_store(videos):
    example = schema.example(open_source(f"davis:{videos}"), 4)
    nothing = example | {"annotated": [], "objects": []}
    features = schema.features()
    serializer = tfds.core.example_serializer.ExampleSerializer(features.get_serialized_info())
    for stored in (example, schema.facts_of(example), schema.facts_of(nothing)):
        proto = serializer.get_tf_example(features.encode_example(stored))
        assert schema.serialize(stored) == proto.SerializeToString(deterministic=True)


class _RunLengths:
    """A source that hands out run lengths, and counts how many masks it had to decode."""

    def __init__(self, source):
        self._source, self.decoded, self.name = source, 0, source.name
        self.video, self.frames, self.jpeg = source.video, source.frames, source.jpeg

    def masks(self, index, frames, objects=None):
        self.decoded += len(frames)
        return self._source.masks(index, frames, objects)

    def run_lengths(self, index, frame):
        if frame == 0:
            return None
        masks = self._source.masks(index, [frame])[0]
        return [None, *(rle.encode(mask) for mask in masks[1:])] if not masks[0].any() else list(map(rle.encode, masks))


def test_run_lengths_are_stored_as_they_are(videos):
    plain = open_source(f"davis:{videos}")
    source = _RunLengths(plain)
    assert isinstance(source, schema.HasRunLengths)
    for index in (0, 10):
        assert schema.serialize(schema.example(source, index)) == schema.serialize(schema.example(plain, index))
    assert source.decoded == 2
    source.run_lengths = lambda index, frame: [b"nonsense"] * 2
    with pytest.raises(BrokenExample, match="Object 1 on frame 0 of v00"):
        schema.example(source, 0)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_from_several_machines_make_one_whole(order, videos, undisturbed, tmp_path):
    for number in order:
        builder = builder_of(videos, tmp_path)
        report = prepare(builder, part=(number, 3))
        assert (report is None) == (number != order[-1]) == bool(missing_shards(builder))
    assert content(builder.data_dir) == content(undisturbed)


def test_parts_can_be_copied_together_and_finished(videos, undisturbed, tmp_path):
    folders = []
    for number in (1, 2):
        builder = builder_of(videos, tmp_path / str(number))
        assert prepare(builder, part=(number, 2)) is None
        folders.append(builder.data_dir)
    shutil.copytree(folders[1], folders[0], dirs_exist_ok=True)
    found = []
    prepare(builder_of(videos, tmp_path / "1"), on_progress=found.append)
    assert all(progress.found for progress in found) and sum(progress.videos for progress in found) == VIDEOS
    assert content(folders[0]) == content(undisturbed)


def test_tfds_itself_writes_the_same_files(videos, undisturbed, tmp_path):
    builder = builder_of(videos, tmp_path)
    builder.download_and_prepare()
    written, expected = content(builder.data_dir), content(undisturbed)
    assert "dataset_info.json" in written
    assert written == {name: expected[name] for name in written}


def test_apache_beam_writes_the_same_files(videos, tmp_path):
    options = pytest.importorskip("apache_beam.options.pipeline_options")
    source = open_source(f"davis:{videos}")
    alone, beam = (Davis(source, data_dir=tmp_path / name, videos_per_shard=1) for name in ("alone", "beam"))
    prepare(alone)
    config = tfds.download.DownloadConfig(beam_runner="DirectRunner", beam_options=options.PipelineOptions([]))
    beam.download_and_prepare(download_config=config)
    written, expected = content(beam.data_dir), content(alone.data_dir)
    names = [name for name in expected if name.startswith(("davis", "dataset_info", "features"))]
    assert len(names) == VIDEOS + 2
    assert {name: written[name] for name in names} == {name: expected[name] for name in names}


# Killed at any moment


def _prepare(videos: Path, folder: Path, begun) -> None:
    builder = builder_of(videos, folder)
    begun.set()
    prepare(builder, workers=2)


def _prepare_until(videos: Path, folder: Path, fatal: int) -> None:
    """Prepares, but kills this process in place of letting a file take its place once `fatal` of them have."""
    replaced, replace = 0, os.replace

    def replace_or_die(source, destination):
        nonlocal replaced
        if replaced == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, destination)
        replaced += 1

    os.replace = replace_or_die
    prepare(builder_of(videos, folder), workers=2)


@pytest.fixture(scope="module")
def fork():
    """Processes that start at once: forked from one that has only imported what they need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_prepared_data"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
        multiprocessing.forkserver.ensure_running()
    return context


def test_killed_before_any_file_appears_it_goes_on_to_the_same_bytes(fork, videos, undisturbed, tmp_path):
    kills = 0
    while True:
        folder = tmp_path / str(kills)
        process = fork.Process(target=_prepare_until, args=(videos, folder, kills))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        left = folder / "davis" / "1.0.0"
        assert content(left) != content(undisturbed)
        prepare(builder_of(videos, folder), workers=2)
        assert content(left) == content(undisturbed), f"killed in place of the {kills}th file"
        kills += 1
    assert kills == SHARDS * 3 + 4  # a shard, its facts and its note each; then the metadata


def test_killed_at_random_moments_it_goes_on_to_the_same_bytes(fork, videos, undisturbed, tmp_path):
    def seconds_of_run(folder, until=None) -> float:
        begun = fork.Event()
        process = fork.Process(target=_prepare, args=(videos, folder, begun))
        process.start()
        begun.wait(60)
        start = time.monotonic()
        process.join(until)
        process.kill()
        process.join()
        return time.monotonic() - start

    whole = seconds_of_run(tmp_path / "whole")
    generator, half_done = np.random.default_rng(), 0
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        left = folder / "davis" / "1.0.0"
        for _ in range(2):
            seconds_of_run(folder, generator.uniform(0, whole))
        half_done += 0 < len(content(left)) < len(content(undisturbed))
        prepare(builder_of(videos, folder), workers=2)
        assert content(left) == content(undisturbed)
        if half_done == 3:
            return
    raise AssertionError("the runs were killed before or after all of their work")


# Broken videos


@pytest.fixture
def one_broken(videos, tmp_path) -> Path:
    root = tmp_path / "one_broken"
    shutil.copytree(videos, root)
    path = root / "JPEGImages/v04/00001.jpg"
    path.write_bytes(path.read_bytes()[:200])
    return root


def test_a_broken_video_stops_the_run_and_leaves_nothing_half_written(one_broken, videos, undisturbed, tmp_path):
    builder = builder_of(one_broken, tmp_path)
    with pytest.raises(BrokenExample, match=r"v04/00001\.jpg"):
        prepare(builder, workers=3)
    names = {name for name in content(builder.data_dir) if name.startswith("davis")}
    assert names == {"davis-train.array_record-00000-of-00004"}
    assert not any(name.endswith(".partial") for name in content(builder.data_dir))
    shutil.copy(videos / "JPEGImages/v04/00001.jpg", one_broken / "JPEGImages/v04/00001.jpg")
    prepare(builder_of(one_broken, tmp_path))
    assert content(builder.data_dir) == content(undisturbed)


def test_a_broken_video_can_be_left_out_and_is_reported(one_broken, videos, undisturbed, tmp_path):
    builder = builder_of(one_broken, tmp_path, skip_broken=True)
    report = prepare(builder)
    assert (report["videos"], report["videos_in_source"]) == (VIDEOS - 1, VIDEOS)
    (skipped,) = report["skipped"]
    assert skipped["video"] == 4 and "v04/00001.jpg" in skipped["why"]
    assert json.loads((Path(builder.data_dir) / "report.json").read_text())["train"] == report
    names = [Records(builder.data_dir).video(index).name for index in range(VIDEOS - 1)]
    assert names == [f"v{video:02d}" for video in range(VIDEOS) if video != 4]
    # A run that is not to skip does not take such a shard for whole.
    with pytest.raises(BrokenExample, match=r"v04/00001\.jpg"):
        prepare(builder_of(one_broken, tmp_path))
    assert not (Path(builder.data_dir) / "dataset_info.json").exists()
    shutil.copy(videos / "JPEGImages/v04/00001.jpg", one_broken / "JPEGImages/v04/00001.jpg")
    prepare(builder_of(one_broken, tmp_path))
    assert content(builder.data_dir) == content(undisturbed)


def test_whole_shards_may_be_left_out_but_not_everything(videos, tmp_path):
    root = tmp_path / "broken"
    shutil.copytree(videos, root)
    for video in (3, 4, 5):
        shutil.rmtree(root / f"JPEGImages/v{video:02d}")
        (root / f"JPEGImages/v{video:02d}").mkdir()
    builder = builder_of(root, tmp_path, skip_broken=True)
    assert prepare(builder)["videos"] == VIDEOS - 3
    assert Records(builder.data_dir).video(3).name == "v06"
    for file in root.glob("JPEGImages/*/*.jpg"):
        file.write_bytes(b"")
    builder = builder_of(root, tmp_path / "nothing", skip_broken=True)
    with pytest.raises(ValueError, match="Not one video of davis can be read, the first because"):
        prepare(builder)


def test_a_damaged_shard_is_written_again(videos, undisturbed, tmp_path):
    builder = builder_of(videos, tmp_path)
    shutil.copytree(undisturbed, builder.data_dir)
    shard, facts = builder.shard_path(2), facts_path(builder.shard_path(3))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    facts.unlink()
    seen = []
    prepare(builder_of(videos, tmp_path), on_progress=seen.append)
    assert sum(progress.videos for progress in seen if not progress.found) == 3 + 2
    assert content(builder.data_dir) == content(undisturbed)


def test_a_folder_is_not_gone_on_with_from_another_source(videos, one_broken, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path / "davis" / "1.0.0")
    source = open_source(f"davis:{videos}")
    with pytest.raises(ValueError, match=r"holds train in 4 shard\(s\), but 3 were asked for"):
        prepare(Davis(source, data_dir=tmp_path, videos_per_shard=4))
    with pytest.raises(ValueError, match="begun with all for frames_stored, but now it is annotated"):
        prepare(builder_of(videos, tmp_path, frames="annotated"))
    shutil.copytree(one_broken / "JPEGImages/v10", one_broken / "JPEGImages/v11")
    with pytest.raises(ValueError, match="begun with 11 for videos_in_source, but now it is 12"):
        prepare(builder_of(one_broken, tmp_path))
    assert content(tmp_path / "davis" / "1.0.0") == content(undisturbed)


# TFDS's own DAVIS and SA-1B


def _store(folder: Path, info: tfds.core.DatasetInfo, example: dict) -> None:
    """What TFDS's builder would write of one example."""
    folder.mkdir()
    serializer = tfds.core.example_serializer.ExampleSerializer(info.features.get_serialized_info())
    record = serializer.serialize_example(info.features.encode_example(example))
    template = tfds.core.ShardedFileTemplate(
        dataset_name=info.name, data_dir=folder, split="train", filetype_suffix="array_record"
    )
    write_records(str(template.sharded_filepath(shard_index=0, num_shards=1)), [record])
    split = tfds.core.SplitInfo(name="train", shard_lengths=[1], num_bytes=0, filename_template=template)
    info.set_splits(tfds.core.splits.SplitDict([split]))
    info.write_to_directory(folder)


def _png(values: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    file.seek(0)
    return file


def test_what_tfds_made_of_davis_can_be_read(tmp_path):
    source = open_source(dataset_cases.davis(tmp_path / "raw").spec)
    info = tfds.video.Davis(data_dir=tmp_path, config="480p", file_format="array_record").info
    frames = [io.BytesIO(source.jpeg(0, frame)) for frame in range(6)]
    labels = [_png(dataset_cases.labels(frame)) for frame in range(6)]
    video = {"frames": frames, "segmentations": labels}
    _store(tmp_path / "davis", info, {"video": video, "metadata": {"num_frames": 6, "video_name": "bear"}})
    records = Records(tmp_path / "davis")
    assert records.video(0) == Video("bear", 6, *dataset_cases.SIZE, (1, 3), tuple(range(6)))
    np.testing.assert_array_equal(records.frames(0, [5, 1]), source.frames(0, [5, 1]))
    np.testing.assert_array_equal(records.masks(0, [5, 1]), source.masks(0, [5, 1]))
    np.testing.assert_array_equal(records.areas(0, 4), source.areas(0, 4))


def test_what_tfds_made_of_sa_1b_can_be_read(tmp_path):
    source = open_source(dataset_cases.sa_1b(tmp_path / "raw").spec)
    builder_class = tfds.builder_cls("segment_anything")
    info = builder_class(data_dir=tmp_path, file_format="array_record").info
    content = json.loads((tmp_path / "raw/sa_1.json").read_text())
    box = np.array([0, 0, 1, 1])
    for annotation in content["annotations"]:
        annotation |= {"area": 1, "bbox": box, "crop_box": box, "point_coords": [[1.0, 1.0]]}
    image = content["image"] | {"content": str(tmp_path / "raw/sa_1.jpg")}
    _store(tmp_path / "stored", info, {"image": image, "annotations": content["annotations"]})
    records = Records(tmp_path / "stored")
    video = source.video(0)
    stored = {fact: pytest.approx(values) for fact, values in video.of_objects.items()}  # TFDS keeps 32 bits
    assert records.video(0) == dataclasses.replace(video, of_objects=stored)
    np.testing.assert_array_equal(records.frames(0, [0]), source.frames(0, [0]))
    np.testing.assert_array_equal(records.masks(0, [0]), source.masks(0, [0]))
    np.testing.assert_array_equal(records.areas(0, 0), source.areas(0, 0))


# The command


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "scripts.prepare_dataset", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command_prepares_and_tells(videos, undisturbed, one_broken, tmp_path):
    answer = run("davis", videos, tmp_path, "--videos-per-shard", PER_SHARD, "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == json.loads((undisturbed / "report.json").read_text())["train"]
    assert content(tmp_path / "davis" / "1.0.0") == content(undisturbed)
    (tmp_path / "two.txt").write_text("v01\nv02\n")
    two = ("davis", f"{videos}?listed={tmp_path / 'two.txt'}", tmp_path, "--split", "test", "--videos-per-shard", 1)
    part = run(*two, "--shard", "2/2")
    assert part.returncode == 0 and "1 of 2 shards are not there yet" in part.stderr
    broken = run("own", f"palette:{one_broken}", tmp_path, "--on-error", "skip")
    assert broken.returncode == 0 and "left out: video 4:" in broken.stderr and "v04/00001.jpg" in broken.stderr


BAD = {
    "a broken video": (["davis", "BROKEN", "OUT"], "v04/00001.jpg"),
    "no such folder": (["davis", "nowhere", "OUT"], "There is no folder or file nowhere"),
    "no name": (["Da-vis", "VIDEOS", "OUT"], "'Da-vis' is no name of a data set"),
    "no part": (["davis", "VIDEOS", "OUT", "--shard", "3"], "'3' is no part: expected I/N"),
    "a part too many": (["davis", "VIDEOS", "OUT", "--shard", "3/2"], "no part 3/2; expected 1/2 to 2/2"),
    "no worker": (["davis", "VIDEOS", "OUT", "--workers", "0"], "--workers is at least 1, but 0 came"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_sentence(arguments, sentence, videos, one_broken, tmp_path, monkeypatch, capsys):
    places = {"VIDEOS": videos, "BROKEN": one_broken, "OUT": tmp_path / "out"}
    arguments = [str(places.get(argument, argument)) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["prepare_dataset", *arguments])
    with pytest.raises(SystemExit) as stopped:
        command.run(prepare_dataset)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not any(name.endswith((".partial", "dataset_info.json")) for name in content(tmp_path / "out"))
