# SPDX-License-Identifier: Apache-2.0
"""Data sets are read as they are on disk, whatever their layout and from any thread.

In: small data sets of each layout (tests/dataset_cases.py), whose pixels are known by arithmetic.
"""

import json
import os
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import dataset_cases
import numpy as np
import pytest
from dataset_cases import HEIGHT, IDENTITIES, SIZE, WIDTH, label_masks, labels, save_frame, save_json, save_labels
from PIL import Image

from data.formats.palette_folder import palette_folder
from data.formats.picture_folder import picture_folder
from data.formats.reading import picture_size, read_frame
from data.formats.sa_v import sa_v
from data.formats.video_list import VideoList
from data.source import BrokenExample
from data.sources import LAYOUTS, open_source
from sam2_jax.media import read_picture


@pytest.fixture(scope="module", params=dataset_cases.LAYOUTS, ids=lambda layout: layout.__name__)
def case(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp(request.param.__name__))


# Every layout


def test_a_source_names_its_videos_without_opening_them(case, monkeypatch):
    source = open_source(case.spec)
    monkeypatch.setattr(source, "_open", None)
    assert [source.video_name(index) for index in range(len(source))] == case.names
    with pytest.raises(IndexError, match="has no video -1"):
        source.video_name(-1)


def test_a_source_tells_what_is_there(case):
    source = open_source(case.spec)
    assert len(source) == len(case.names)
    for index, name in enumerate(case.names):
        video = source.video(index)
        assert (video.name, video.frames) == (name, len(case.frames))
        assert (video.height, video.width) == SIZE
        assert video.objects == case.objects
        assert video.annotated == tuple(case.masks)
        assert all(len(values) == len(case.objects) for values in video.of_objects.values())
        json.dumps([video.of_video, video.of_objects])  # what is told of a video can be stored


def test_frames_and_masks_are_those_on_disk(case):
    source = open_source(case.spec)
    for index in range(len(source)):
        frames = source.frames(index, range(len(case.frames)))
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, case.frames)
        masks = source.masks(index, list(case.masks))
        assert masks.dtype == bool
        assert masks.flags.c_contiguous
        np.testing.assert_array_equal(masks, np.stack(list(case.masks.values())))
        for frame, expected in case.masks.items():
            areas = source.areas(index, frame)
            assert areas.dtype == np.int64
            np.testing.assert_array_equal(areas, expected.sum((1, 2)))


def test_frames_and_objects_come_in_the_order_asked_for(case):
    source, annotated = open_source(case.spec), list(case.masks)
    order = [len(case.frames) - 1, 0, len(case.frames) - 1]
    np.testing.assert_array_equal(source.frames(0, order), case.frames[order])
    backward = annotated[::-1]
    expected = np.stack([case.masks[frame][[1, 0, 1]] for frame in backward])
    np.testing.assert_array_equal(source.masks(0, backward, [1, 0, 1]), expected)
    assert source.masks(0, annotated, []).shape == (len(annotated), 0, *SIZE)
    assert source.frames(0, []).shape == (0, *SIZE, 3)


def test_what_is_asked_for_has_to_be_there(case):
    source = open_source(case.spec)
    for index in (-1, len(source)):
        with pytest.raises(IndexError, match=f"has no video {index}: it has {len(source)}"):
            source.video(index)
    for frame in (-1, len(case.frames)):
        with pytest.raises(IndexError, match=f"has no frame {frame}"):
            source.frames(0, [frame])
        with pytest.raises(IndexError, match=f"has no masks on frame {frame}"):
            source.areas(0, frame)
    with pytest.raises(IndexError, match="has no object in place 2"):
        source.masks(0, [0], [2])


def test_many_threads_and_copies_read_the_same(case):
    source = open_source(case.spec)
    copy = pickle.loads(pickle.dumps(source))
    assert repr(copy) == repr(source) == f"{source.name} ({len(source)} videos)"
    together = threading.Barrier(8)

    def read(number: int):
        together.wait()
        index, reader = number % len(source), (source, copy)[number // 4]
        return (
            reader.video(index).name,
            reader.areas(index, next(iter(case.masks))).tolist(),
            reader.frames(index, range(len(case.frames))).tobytes(),
            reader.masks(index, list(case.masks)).tobytes(),
        )

    first = next(iter(case.masks))
    with ThreadPoolExecutor(8) as pool:
        for number, answer in enumerate(pool.map(read, range(8))):
            assert answer == (
                case.names[number % len(source)],
                case.masks[first].sum((1, 2)).tolist(),
                case.frames.tobytes(),
                np.stack(list(case.masks.values())).tobytes(),
            )


def test_a_list_restricts_a_source(case, tmp_path):
    (tmp_path / "names.txt").write_text(f"{case.names[-1]}\n\n")
    mark = "&" if "?" in case.spec else "?"
    source = open_source(f"{case.spec}{mark}listed={tmp_path / 'names.txt'}")
    assert [source.video(index).name for index in range(len(source))] == case.names[-1:]


def test_stored_jpeg_files_are_handed_out_as_they_are(case):
    source = open_source(case.spec)
    encoded = source.jpeg(0, 0)
    if encoded is None:
        assert not list(case.root.rglob("*.jp*g"))
    else:
        assert encoded in [path.read_bytes() for path in case.root.rglob("*.jp*g")]


# The layouts


def test_palette_folder_takes_all_videos_without_a_split(tmp_path):
    dataset_cases.davis(tmp_path)
    assert palette_folder(tmp_path).names == ["bear", "camel", "extra"]


def test_a_resolution_has_to_be_chosen_where_there_are_several(tmp_path):
    dataset_cases.davis(tmp_path)
    shutil.copytree(tmp_path / "JPEGImages/480p", tmp_path / "JPEGImages/Full-Resolution")
    shutil.copytree(tmp_path / "Annotations/480p", tmp_path / "Annotations/Full-Resolution")
    with pytest.raises(ValueError, match="holds 480p and Full-Resolution: say which"):
        palette_folder(tmp_path)
    assert len(open_source(f"davis:{tmp_path}?resolution=Full-Resolution")) == 3


def test_void_pixels_are_no_object(tmp_path):
    dataset_cases.davis(tmp_path)
    values = labels(5)
    values[0] = 255
    save_labels(tmp_path / "Annotations/480p/bear/00005.png", values)
    assert open_source(f"palette:{tmp_path}").video(0).objects == (*IDENTITIES, 255)
    for source in (open_source(f"davis:{tmp_path}"), open_source(f"{tmp_path}?void=255")):
        assert source.video(0).objects == IDENTITIES
        np.testing.assert_array_equal(source.masks(0, [5])[0], label_masks(5))


def test_youtube_vos_tells_categories_and_which_were_seen(tmp_path):
    dataset_cases.youtube_vos(tmp_path)
    train = palette_folder(tmp_path, "train").video(0)
    assert train.of_video == {"split": "train"}
    assert train.of_objects == {"category": ("box", "duck")}
    shutil.copytree(tmp_path / "train", tmp_path / "valid")
    objects = {"1": {"category": "penguin"}, "3": {"category": "duck"}}
    save_json(tmp_path / "valid/meta.json", {"videos": {"003234408d": {"objects": objects}}})
    valid = palette_folder(tmp_path, "valid")
    assert valid.video(0).of_objects == {"category": ("penguin", "duck"), "seen": (False, True)}
    with pytest.raises(BrokenExample, match=r"meta\.json does not know the video 0043f083b5"):
        valid.video(1)


def test_lvos_tells_which_videos_were_unseen(tmp_path):
    dataset_cases.lvos(tmp_path)
    (tmp_path / "unseen_videos.txt").write_text("a\n")
    assert palette_folder(tmp_path, "valid").video(0).of_objects == {"seen": (False, False)}


@pytest.mark.parametrize("content", [{"videos": {"a": {"length": 4}}}, {"about": "something else"}])
def test_a_meta_json_without_objects_is_left_aside(tmp_path, content):
    dataset_cases.lvos(tmp_path)
    save_json(tmp_path / "meta_valid.json", content)
    assert palette_folder(tmp_path, "valid").video(0).objects == IDENTITIES


def test_sixteen_bit_and_one_bit_masks_are_read(tmp_path):
    dataset_cases.pictures(tmp_path)
    Image.fromarray(labels(5).astype(np.uint16) * 300).save(tmp_path / "masks/a.png")
    Image.fromarray(labels(5) > 0).save(tmp_path / "masks/b.png")
    source = picture_folder(tmp_path)
    assert [source.video(index).objects for index in range(2)] == [(300, 900), (1,)]
    np.testing.assert_array_equal(source.masks(0, [0])[0], label_masks(5))
    np.testing.assert_array_equal(source.masks(1, [0])[0, 0], labels(5) > 0)


def test_sa_v_masklets_are_chosen_by_kind(tmp_path):
    dataset_cases.sa_v(tmp_path)
    assert sa_v(tmp_path, "auto").names == ["sav_000/sav_000001"]
    manual, both = sa_v(tmp_path).video(0), sa_v(tmp_path, "both")
    assert manual.of_objects == {"edited_frames": (2, 1), "automatic": (False, False)}
    assert manual.of_video == {"environment": "Indoor", "split": "train"}
    assert both.video(0).objects == (0, 1, 2, 3)
    assert both.video(0).of_objects == {"edited_frames": (2, 1, 0, 0), "automatic": (False, False, True, True)}
    np.testing.assert_array_equal(*(both.masks(0, [4], part) for part in ([0, 1], [2, 3])))
    assert both.video(1).objects == (0, 1)  # without automatic ones


def test_a_frame_of_sa_v_that_is_null_is_not_annotated(tmp_path):
    dataset_cases.sa_v(tmp_path)
    content = dataset_cases.sa_v_annotations("manual")
    content["masklet"][1] = None
    save_json(tmp_path / "sav_000/sav_000001_manual.json", content)
    assert sa_v(tmp_path).video(0).annotated == (0, 8)


def test_areas_of_sa_v_give_the_sizes_that_it_states(tmp_path):
    """masklet_size_abs is the mean area over the annotated frames on which a masklet is in sight."""
    dataset_cases.sa_v(tmp_path)
    source = sa_v(tmp_path)
    areas = np.stack([source.areas(0, frame) for frame in source.video(0).annotated])
    assert areas[0, 1] == 0
    expected = [100, dataset_cases.object_masks(4)[1].sum()]
    np.testing.assert_array_equal(areas.sum(0) / (areas > 0).sum(0), expected)


def test_all_extracted_frames_of_sa_v_count_or_only_those_with_masks(tmp_path):
    case = dataset_cases.sa_v_extracted(tmp_path)
    for frame in range(10):
        save_frame(tmp_path / f"frames/sav_000001/{frame:05d}.jpg", frame)
    video = open_source(case.spec).video(0)
    assert (video.frames, video.annotated) == (10, (0, 4, 8))


def test_sa_1b_and_coco_tell_of_their_objects(tmp_path):
    source = open_source(dataset_cases.sa_1b(tmp_path / "sa_1b").spec)
    assert source.video(0).of_objects == {"predicted_iou": (0.9, 0.9), "stability_score": (0.97, 0.97)}
    source = open_source(dataset_cases.coco(tmp_path / "coco").spec)
    assert source.video(0).of_objects == {"category": ("box", "duck"), "crowd": (False, True)}


def test_pictures_are_read_as_a_viewer_shows_them(tmp_path):
    dataset_cases.pictures(tmp_path)
    orientation = Image.Exif()
    orientation[0x0112] = 6  # a quarter turn
    Image.fromarray(dataset_cases.picture(5)).save(tmp_path / "images/a.jpg", exif=orientation, quality=95)
    save_labels(tmp_path / "masks/a.png", np.rot90(labels(5), -1))
    source = picture_folder(tmp_path)
    assert (source.video(0).height, source.video(0).width) == (WIDTH, HEIGHT)
    expected = np.rot90(Image.open(tmp_path / "images/a.jpg").convert("RGB"), -1)
    np.testing.assert_array_equal(source.frames(0, [0])[0], expected)


# The door


def test_layouts_are_recognised_and_named(case):
    path, _, options = case.spec.partition("?")
    path = path.removeprefix("sa_v:")
    recognised = open_source(f"{path}?{options}" if options else path)
    named = open_source(f"{recognised.name}:{path}" + (f"?{options}" if options else ""))
    assert recognised.name in LAYOUTS
    assert repr(named) == repr(recognised)
    assert open_source(case.spec).name == ("sa_v" if case.spec.startswith("sa_v:") else recognised.name)


def test_a_coco_folder_of_other_tools_is_recognised(tmp_path):
    dataset_cases.coco(tmp_path)
    shutil.copy(tmp_path / "annotations/instances_val2017.json", tmp_path / "val2017/_annotations.coco.json")
    assert open_source(tmp_path / "val2017").name == "coco"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("{root}/nowhere", "There is no folder or file"),
        ("davos:{root}", "'davos' is none of the layouts palette, davis"),
        ("{root}/empty", "It holds nothing. Known are: palette: JPEGImages and Annotations"),
        ("{root}/other", r"It holds notes\.txt\. Known are"),
        ("{root}/other/notes.txt", "is a file, but a data set is a folder"),
        ("{root}/videos", "holds train and valid: say which to read, as in .*split=train"),
        ("{root}/videos?split=test", "holds train and valid: say which to read"),
        ("palette:{root}/videos?split=test", "has no split 'test'"),
        ("{root}/videos?split=train&masklets=auto", "layout palette have no option 'masklets'"),
        ("{root}/videos?split", "Options are written"),
        ("davis:{root}/other", "One folder JPEGImages or JPEGImages_"),
        ("davis:{root}/videos?split=train&resolution=480p", "There is no folder .*480p"),
        ("sa_1b:{root}/other", "The source sa_1b has no videos"),
        ("palette:{root}/videos?split=train&void=red", "void is an index of the palette, but 'red'"),
    ],
)
def test_what_cannot_be_opened_is_said(tmp_path, spec, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("nothing")
    for split in ("train", "valid"):
        save_frame(tmp_path / f"videos/{split}/JPEGImages/a/00000.jpg", 0)
        save_labels(tmp_path / f"videos/{split}/Annotations/a/00000.png", labels(0))
    with pytest.raises(ValueError, match=sentence):
        open_source(spec.format(root=tmp_path))


def test_opening_a_source_looks_into_no_video(tmp_path, monkeypatch):
    for number in range(20):
        (tmp_path / f"JPEGImages/{number:03d}").mkdir(parents=True)
        (tmp_path / f"Annotations/{number:03d}").mkdir(parents=True)
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (looked.append(os.fspath(path)), scandir(path))[1])
    assert len(palette_folder(tmp_path)) == 20
    assert set(looked) == {str(tmp_path), str(tmp_path / "JPEGImages")}


def test_only_the_latest_videos_stay_open():
    opened = []
    source = VideoList("test", range(5), lambda name: opened.append(name) or name, kept=2)
    for index in (0, 1, 0, 2, 0, 1):
        assert source._video(index) == index
    assert opened == [0, 1, 2, 1]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "1"])
@pytest.mark.parametrize("ending", [b"", b"\0\0"], ids=["plain", "with more after it"])
def test_a_frame_is_what_the_pictures_of_the_library_are(tmp_path, mode, ending):
    path = tmp_path / ("frame.jpg" if mode in ("RGB", "L", "CMYK") else "frame.png")
    Image.fromarray(dataset_cases.picture(5)).convert(mode).save(path)
    path.write_bytes(path.read_bytes() + ending)
    np.testing.assert_array_equal(read_frame(path), read_picture(path))
    assert picture_size(path) == SIZE


def test_made_up_videos_are_named_like_any_other_data():
    assert len(open_source("synthetic")) == 100
    pictures = open_source("synthetic:training_pictures?size=64")
    assert pictures.video(0).frames == 1
    assert pictures.video_name(0) == pictures.video(0).name != pictures.video_name(1)
    assert pictures.frames(0, [0]).shape == (1, 64, 64, 3)
    for wrong in ("synthetic:nothing", "synthetic?split=val", "synthetic:held_out_videos?size=big"):
        with pytest.raises(ValueError, match="is none of synthetic:held_out_videos"):
            open_source(wrong)
    with pytest.raises(ValueError, match="no folder or file synthetic/mine"):
        open_source("synthetic/mine")
