# SPDX-License-Identifier: Apache-2.0
"""Batches keep their promises: shapes, order, shards, mixture, exact resume, and broken data told of, never hidden."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from clip_cases import MemorySource
from hypothesis import given, settings
from hypothesis import strategies as st

from data.augmentation import PICTURE_AUGMENTATION
from data.config import DataConfig, Entry
from data.pipeline import Batches
from data.sampling import PICTURE_RULE, ClipRule
from data.source import BrokenExample

SMALL = ClipRule(frames=3, objects=2)
PICTURES = Entry(MemorySource(lengths=(1,) * 5), 0.25, 4, PICTURE_RULE, PICTURE_AUGMENTATION)
MIXTURE = (Entry(MemorySource(), 0.75, 2, SMALL), PICTURES)


def config(entries=MIXTURE, **changes) -> DataConfig:
    return DataConfig(entries, **{"image_size": 16, "threads": 2, **changes})


def batches(count, data_config=None, **arguments) -> list[dict]:
    with Batches(data_config or config(), **arguments) as iterator:
        return [next(iterator) for _ in range(count)]


def flat(batch: dict) -> dict[str, np.ndarray]:
    return {**{k: v for k, v in batch.items() if k != "colour"}, **batch["colour"]}


def assert_same(batch: dict, expected: dict) -> None:
    batch, expected = flat(batch), flat(expected)
    assert batch.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(batch[name], values, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(1, 9),
    objects=st.integers(1, 5),
    examples=st.integers(1, 3),
    size=st.integers(8, 40),
    source_size=st.tuples(st.integers(24, 70), st.integers(24, 70)),
    seed=st.integers(0, 2**40),
)
def test_every_batch_has_the_promised_shapes_types_and_values(frames, objects, examples, size, source_size, seed):
    source = MemorySource(size=source_size)
    entry = Entry(source, batch_size=examples, clip=ClipRule(frames, objects))
    (batch,) = batches(1, config((entry,), image_size=size, seed=seed))
    expected = {
        "frames": ((examples, frames, size, size, 3), np.uint8),
        "masks": ((examples, frames, objects, size, size), bool),
        "valid": ((examples, objects), bool),
        "factors": ((examples, frames, 2, 3), np.float32),
        "order": ((examples, frames, 2, 3), np.int32),
        "grayscale": ((examples, frames), bool),
        "source": ((examples,), np.int32),
        "video": ((examples,), np.int64),
        "first_frame": ((examples,), np.int64),
        "objects": ((examples, objects), np.int64),
    }
    assert {name: (values.shape, values.dtype) for name, values in flat(batch).items()} == expected
    assert np.isin(batch["masks"].view(np.uint8), (0, 1)).all()
    valid = batch["valid"]
    assert valid.any(axis=1).all()
    assert (batch["masks"][:, 0].any(axis=(2, 3)) == valid).all()  # in sight on the first frame
    assert not batch["masks"].any(axis=(1, 3, 4))[~valid].any()
    assert ((batch["objects"] >= 0) == valid).all()
    for video, first, places in zip(batch["video"], batch["first_frame"], batch["objects"]):
        assert first in source.video(video).annotated
        assert (source.areas(video, first)[places[places >= 0]] > 0).all()


@pytest.mark.parametrize("changes", [dict(threads=1, prefetch=1), dict(threads=7, prefetch=4), dict(processes=2)])
def test_same_seed_same_batches_whatever_the_threads_and_processes(changes):
    for batch, expected in zip(batches(6, config(**changes)), batches(6)):
        assert_same(batch, expected)


def test_another_seed_gives_other_batches():
    ours, others = batches(3), batches(3, config(seed=1))
    assert any((a["frames"] != b["frames"]).any() for a, b in zip(ours, others))


@pytest.mark.parametrize("step", [1, 7, 50])
def test_beginning_at_a_step_equals_never_having_stopped(step):
    whole = batches(step + 3)[step:]
    for batch, expected in zip(batches(3, step=step), whole):
        assert_same(batch, expected)


def test_hosts_share_every_batch_between_them():
    whole = batches(9)
    for host in range(2):
        for part, expected in zip(batches(9, host=host, hosts=2), whole):
            for name, values in flat(expected).items():
                np.testing.assert_array_equal(flat(part)[name], np.split(values, 2)[host], err_msg=name)


def test_every_video_has_its_turn_in_every_round():
    source = MemorySource(lengths=(1,) * 12)
    entry = Entry(source, batch_size=4, clip=PICTURE_RULE, augmentation=PICTURE_AUGMENTATION)
    shards = [batches(6, config((entry,)), host=host, hosts=2) for host in range(2)]
    rounds = [np.concatenate([b["video"] for s in shards for b in s[start : start + 3]]) for start in (0, 3)]
    assert all(sorted(videos) == list(range(12)) for videos in rounds)
    order = [np.concatenate([b["video"] for b in shards[0][start : start + 3]]).tolist() for start in (0, 3)]
    assert order[0] != order[1]  # another order in each round


def test_a_batch_is_from_one_source_as_often_as_asked():
    weights = 0.152, 0.7, 0.148
    sources = [MemorySource(lengths=(1,) * count, size=(24, 24), objects=1) for count in (3, 4, 5)]
    rule = ClipRule(frames=1, objects=1)
    entries = tuple(Entry(s, w, n, rule, PICTURE_AUGMENTATION) for s, w, n in zip(sources, weights, (2, 2, 4)))
    drawn = [batch["source"] for batch in batches(300, config(entries, image_size=8, threads=1))]
    assert all((numbers == numbers[0]).all() and len(numbers) == (2, 2, 4)[numbers[0]] for numbers in drawn)
    frequencies = np.bincount([numbers[0] for numbers in drawn]) / 300
    np.testing.assert_allclose(frequencies, weights, atol=0.006)
    others = batches(50, config(entries, image_size=8, threads=1), host=1, hosts=2)
    assert [b["source"][0] for b in others] == [numbers[0] for numbers in drawn[:50]]


def test_broken_data_stops_the_run_with_its_own_sentence():
    entry = Entry(MemorySource(broken=[2]), batch_size=4, clip=SMALL)
    with pytest.raises(BrokenExample, match=r"video2\.jpg, frame \d+, is damaged"):
        batches(2, config((entry,)))


def test_skipped_data_is_counted_logged_once_and_replaced(caplog):
    source = MemorySource(broken=[2])
    data_config = config((Entry(source, batch_size=4, clip=SMALL),), on_error="skip")
    with caplog.at_level(logging.WARNING), Batches(data_config) as iterator:
        drawn = [next(iterator) for _ in range(8)]
    videos = np.concatenate([batch["video"] for batch in drawn])
    assert 2 not in videos and len(videos) == 32
    assert all(batch["valid"].any(axis=1).all() for batch in drawn)
    assert sum(iterator.report.broken.values()) == source.reads.count(2) >= 8
    sentences = [f"{sentence} Another example takes its place." for sentence in iterator.report.broken]
    assert sorted(record.getMessage() for record in caplog.records) == sorted(sentences)
    for batch, expected in zip(batches(8, data_config), drawn):
        assert_same(batch, expected)


def test_what_processes_could_not_use_is_told_of_too():
    source = MemorySource(lengths=(20, 24, 4, 30), broken=[1])
    entries = (Entry(source, batch_size=4, clip=SMALL),)
    with pytest.raises(BrokenExample, match=r"video1\.jpg, frame \d+, is damaged"):
        batches(2, config(entries, processes=1))
    with Batches(config(entries, processes=2, on_error="skip")) as iterator:
        videos = np.concatenate([next(iterator)["video"] for _ in range(4)])
    assert set(videos) == {0, 3}
    assert sum(iterator.report.broken.values()) >= 4
    assert set(iterator.report.unsuitable) == {("memory", "video2")}


@pytest.mark.parametrize("how", ["with", "killed"])
def test_processes_end_with_the_one_that_made_them_and_not_when_asked_to(how):
    code = """
import sys; sys.path.insert(0, "tests")
import multiprocessing, os, signal, time
from clip_cases import MemorySource
from data.config import DataConfig, Entry
from data.pipeline import Batches
if __name__ == "__main__":
    with Batches(DataConfig((Entry(MemorySource()),), image_size=16, processes=1)) as batches:
        next(batches)
        (child,) = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGTERM)  # as a scheduler does, which asks all processes of a run
        for _ in range(10):  # more than are made ahead
            next(batches)
        print(child.pid, flush=True)
        time.sleep(600 if sys.argv[1] == "killed" else 0)
"""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(code)
        file.flush()
        environment = os.environ | {"PYTHONPATH": "."}
        command = [sys.executable, file.name, how]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1], env=environment
        ) as parent:
            child = int(parent.stdout.readline())
            if how == "killed":
                parent.kill()
            assert parent.wait(60) == (-signal.SIGKILL if how == "killed" else 0)
    for _ in range(300):
        if not Path(f"/proc/{child}").exists():
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("The process that made examples outlived the one that asked for them.")


def test_videos_without_a_clip_are_replaced_and_counted_also_where_errors_stop():
    source = MemorySource(lengths=(20, 4, 30, 30), hidden=[2])
    with Batches(config((Entry(source, batch_size=4, clip=SMALL),))) as iterator:
        videos = np.concatenate([next(iterator)["video"] for _ in range(4)])
    assert set(videos) <= {0, 3}
    assert set(iterator.report.unsuitable) == {("memory", "video1"), ("memory", "video2")}
    assert not iterator.report.broken


def test_a_source_without_any_clip_says_so():
    entry = Entry(MemorySource(), clip=ClipRule(frames=16))
    with pytest.raises(ValueError, match=r"None of 100 videos drawn from memory .* 16 annotated frame"):
        batches(1, config((entry,)))
    with pytest.raises(ValueError, match="memory has no videos"):
        Batches(config((Entry(MemorySource(lengths=())),)))


def test_only_the_most_edited_half_is_drawn_from():
    source = MemorySource(edited=[(0, 0, 0, 0), (9, 9, 0, 0), (9, 9, 9, 0), (1, 2, 3, 0)])
    entry = Entry(source, batch_size=6, clip=ClipRule(2, 2, most_edited_half=True))
    drawn = batches(8, config((entry,)))
    for batch in drawn:
        for video, places in zip(batch["video"], batch["objects"]):
            allowed = {1: {0, 1}, 2: {0, 1, 2}, 3: {0, 1, 2}}[video]
            assert set(places[places >= 0]) <= allowed


def test_what_is_made_ahead_is_bounded():
    source = MemorySource()
    data_config = config((Entry(source, batch_size=2, clip=SMALL),), prefetch=3)
    with Batches(data_config) as iterator:
        assert iterator.buffer_bytes == 3 * sum(values.nbytes for values in flat(next(iterator)).values())
        for _ in range(3):
            next(iterator)
        iterator._makers._pool.submit(int).result()
    assert len(source.reads) <= 2 * (4 + 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(hosts=3), "A batch of 2 clips cannot be dealt to 3 hosts"),
        (dict(host=2, hosts=2), "Host 2 of 2"),
        (dict(step=-1), "begin with step -1"),
    ],
)
def test_impossible_deals_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Batches(config(), **arguments)


def test_impossible_configs_are_refused():
    for wrong in (dict(entries=()), dict(on_error="ignore"), dict(threads=0), dict(processes=-1), dict(seed=-1)):
        with pytest.raises(ValueError, match="came"):
            config(**wrong)
    for wrong in (dict(weight=0.0), dict(batch_size=0)):
        with pytest.raises(ValueError, match="came"):
            Entry(MemorySource(), **wrong)


def test_importing_and_running_the_pipeline_changes_nothing_global():
    code = """
import sys; sys.path.insert(0, "tests")
import logging, os, random, threading, cv2, grain, numpy as np
def everything():
    numbers = random.getstate(), np.random.get_state()[1].sum()
    return cv2.getNumThreads(), dict(os.environ), logging.getLogger().level, numbers
before = everything()
from clip_cases import MemorySource
from data.config import DataConfig, Entry
from data.pipeline import Batches
with Batches(DataConfig((Entry(MemorySource()),), image_size=16, threads=2)) as batches:
    next(batches)
assert everything() == before
assert "torch" not in sys.modules and "tensorflow" not in sys.modules
assert not [t for t in threading.enumerate() if t.name.startswith("make-example")]
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], env=dict(os.environ))
