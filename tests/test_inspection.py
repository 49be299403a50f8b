# SPDX-License-Identifier: Apache-2.0
"""What a source holds is counted as the paper counts it; what the model is fed can be looked at."""

import json

import numpy as np
import pytest
from clip_cases import MemorySource
from PIL import Image

from data.source import BrokenExample
from data.statistics import Counts, count_video
from sam2_jax.media import palette, read_picture
from scripts.inspect_data import inspect_data


class Presence(MemorySource):
    """Objects in sight where the rows of a string say, one for each annotated frame; on a tenth of the frame."""

    def __init__(self, *rows):
        super().__init__(lengths=(2 * len(rows),), size=(10, 10), objects=len(rows[0]))
        self.rows = rows

    def areas(self, index, frame):
        return np.array([{"#": 10, ".": 0, ",": 9}[sign] for sign in self.rows[frame // 2]])


def test_masklets_and_masks_are_those_in_sight():
    counts = count_video(Presence("#.,", "#..", ",.,"), 0)
    assert (counts.videos, counts.frames, counts.annotated_frames) == (1, 6, 3)
    assert (counts.masklets, counts.masks, counts.small_masks) == (2, 5, 3)


@pytest.mark.parametrize(
    ("presence", "rate"), [("##..", 0), ("..##", 0), ("#.#.", 100), (".#..#", 100), ("#", 0), ("...", None)]
)
def test_a_masklet_disappears_where_it_comes_back(presence, rate):
    counts = count_video(Presence(*presence), 0)
    assert np.isnan(counts.disappearance_rate) if rate is None else counts.disappearance_rate == rate


def test_counts_of_videos_add_up():
    source = MemorySource()
    total = sum((count_video(source, index) for index in range(4)), Counts())
    masks = sum((source.areas(i, f) > 0).sum() for i in range(4) for f in source.video(i).annotated)
    assert (total.videos, total.frames, total.masklets, total.masks) == (4, 92, 16, masks)
    assert total.disappearance_rate == 75  # all but object 0 of each video
    assert (total.width, total.height) == (4 * 56, 4 * 40)


def test_a_broken_video_is_not_counted_as_empty():
    class Broken(MemorySource):
        def areas(self, index, frame):
            raise BrokenExample(f"video{index}.png is damaged.")

    with pytest.raises(BrokenExample, match=r"video0\.png is damaged"):
        count_video(Broken(), 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    source = MemorySource(lengths=(8, 8, 8))
    for index in range(3):
        pictures, masks = folder / "JPEGImages" / f"clip{index}", folder / "Annotations" / f"clip{index}"
        pictures.mkdir(parents=True)
        masks.mkdir(parents=True)
        for frame in range(8):
            Image.fromarray(source.frames(index, [frame])[0]).save(pictures / f"{frame:05d}.jpg")
            labels = np.zeros((40, 56), np.uint8)
            for number, mask in enumerate(source.masks(index, [frame])[0], start=1):
                labels[mask] = number
            image = Image.fromarray(labels)
            image.putpalette(palette(256).tobytes())
            image.save(masks / f"{frame:05d}.png")
    return folder


def test_the_command_writes_a_sheet_and_counts(folder, tmp_path, capsys):
    inspect_data(str(folder), tmp_path, n=3, frames=2, image_size=32, frame_rate=8, json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "counts.json").read_text()) == [row]
    assert (row["videos"], row["frames"], row["masklets"], row["broken_videos"]) == (3, 24, 12, 0)
    sheet = read_picture(tmp_path / "sheet_0.png")
    assert sheet.shape[0] > 3 * 32 and sheet.shape[1] > 2 * 32
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 500  # there is something to see
    with pytest.raises(FileExistsError, match="--overwrite"):
        inspect_data(str(folder), tmp_path)


def test_the_command_tells_of_broken_videos(folder, tmp_path, capsys):
    (folder / "Annotations" / "clip0" / "00003.png").write_bytes(b"no picture")
    inspect_data(str(folder), tmp_path, n=3, frames=2, image_size=32, json=True)
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)
    assert (row["videos"], row["broken_videos"]) == (2, 1)
    assert "00003.png" in printed.err


def test_the_command_shows_every_source_of_a_config(folder, tmp_path, capsys):
    (tmp_path / "mixed.py").write_text(f"""
from data.config import DataConfig, Entry
from data.sampling import ClipRule
from sam2_jax.config import published_config
from train.config import TrainConfig

def get_config():
    entries = Entry("{folder}", 0.99, 256), Entry("{folder}", 0.01, 512, ClipRule(frames=2))
    return TrainConfig(published_config("sam2.1_hiera_tiny"), DataConfig(entries, image_size=1024), steps=1)
""")
    changes = "data.image_size=32", "data.entries.0.clip.frames=2"
    inspect_data(f"{tmp_path}/mixed.py", tmp_path / "out", n=3, set=changes, json=True)
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["counts.json", "sheet_0.png", "sheet_1.png"]


def test_the_command_refuses_what_makes_no_sense(folder, tmp_path):
    with pytest.raises(ValueError, match="--set changes a config, but a source came"):
        inspect_data(str(folder), tmp_path, set=("data.seed=1",))
    with pytest.raises(ValueError, match="--n and --count are at least 1"):
        inspect_data(str(folder), tmp_path, n=0)
