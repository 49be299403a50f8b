# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a data set is told, by file and frame, and never made up for.

In: small data sets of each layout (tests/dataset_cases.py), each damaged in one place.
"""

import json
import shutil

import dataset_cases
import pytest
from dataset_cases import HEIGHT, WIDTH, labels, save_frame, save_labels
from PIL import Image

from data.formats.coco import coco
from data.formats.object_folders import object_folders
from data.formats.palette_folder import palette_folder
from data.formats.picture_folder import picture_folder
from data.formats.sa_1b import sa_1b
from data.formats.sa_v import sa_v
from data.source import BrokenExample
from data.sources import open_source


def cut(path, share=0.6):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def set_in(content, keys, value):
    for key in keys[:-1]:
        content = content[key]
    content[keys[-1]] = value


def read_all(source):
    for index in range(len(source)):
        video = source.video(index)
        source.frames(index, range(video.frames))
        for frame in video.annotated:
            source.areas(index, frame)
        source.masks(index, video.annotated)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda root: cut(root / "JPEGImages/480p/bear/00003.jpg"),
            r"Frame 3 of bear: .*bear/00003\.jpg cannot be read",
        ),
        (
            lambda root: (root / "JPEGImages/480p/bear/00003.jpg").write_bytes(b""),
            r"Frame 3 of bear: .*00003\.jpg cannot",
        ),
        (lambda root: (root / "JPEGImages/480p/bear/00000.jpg").write_text("no picture"), r"00000\.jpg cannot be read"),
        (
            lambda root: cut(root / "Annotations/480p/bear/00002.png"),
            r"Annotations/480p/bear/00002\.png cannot be read",
        ),
        (lambda root: shutil.rmtree(root / "Annotations/480p/bear"), "Annotations/480p/bear does not exist"),
        (lambda root: shutil.rmtree(root / "JPEGImages/480p/bear"), "JPEGImages/480p/bear does not exist"),
        (lambda root: [p.unlink() for p in (root / "JPEGImages/480p/bear").iterdir()], "bear holds no .jpg or"),
        (lambda root: [p.unlink() for p in (root / "Annotations/480p/bear").iterdir()], "bear holds no .png files"),
        (lambda root: (root / "JPEGImages/480p/bear/00004.jpg").unlink(), r"bear/00004\.png has no picture in"),
        (
            lambda root: Image.new("RGB", (WIDTH, 10)).save(root / "JPEGImages/480p/bear/00001.jpg"),
            "Frame 1 of bear: it has 40 x 10 pixels, but the video 40 x 24",
        ),
        (
            lambda root: save_labels(root / "Annotations/480p/bear/00001.png", labels(1)[:10]),
            r"bear/00001\.png has 40 x 10 pixels, but the picture 40 x 24",
        ),
        (
            lambda root: Image.new("RGB", (WIDTH, HEIGHT)).save(root / "Annotations/480p/bear/00001.png"),
            r"bear/00001\.png is a picture of mode RGB: masks are palette or grey",
        ),
        (
            lambda root: Image.new("L", (WIDTH, HEIGHT)).save(root / "Annotations/480p/bear/00001.png", "JPEG"),
            r"bear/00001\.png is a JPEG",
        ),
        (
            lambda root: shutil.copy(root / "JPEGImages/480p/bear/00001.jpg", root / "JPEGImages/480p/bear/000001.jpg"),
            "which is frame 1",
        ),
    ],
)
def test_broken_palette_folders(tmp_path, damage, sentence):
    case = dataset_cases.davis(tmp_path)
    damage(tmp_path)
    with pytest.raises(BrokenExample, match=sentence):
        read_all(open_source(f"davis:{case.spec}"))


@pytest.mark.parametrize("read", [lambda s: s.masks(0, [5]), lambda s: s.areas(0, 5)], ids=["masks", "areas"])
def test_an_index_beyond_the_known_objects(tmp_path, read):
    dataset_cases.youtube_vos(tmp_path)
    values = labels(5)
    values[0, 0] = 7
    save_labels(tmp_path / "train/Annotations/003234408d/00005.png", values)
    with pytest.raises(BrokenExample, match=r"Frame 5 of 003234408d: .*00005\.png holds an object 7, but .* are 1, 3"):
        read(palette_folder(tmp_path, "train"))


def test_a_mask_file_that_goes_missing(tmp_path):
    dataset_cases.davis(tmp_path)
    source = palette_folder(tmp_path)
    source.video(0)
    (tmp_path / "Annotations/480p/bear/00002.png").unlink()
    with pytest.raises(BrokenExample, match=r"Frame 2 of bear: .*bear/00002\.png does not exist"):
        source.masks(0, [2])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "holds a list where a JSON object was expected"),
        ('{"videos": {"a": {"objects": 5}}}', "has '5' for 'objects', where dict was expected"),
        ('{"videos": {"a": {"objects": {"x": {}}}}}', "whose names are no numbers: x"),
    ],
)
def test_a_broken_meta_json(tmp_path, content, sentence):
    dataset_cases.youtube_vos(tmp_path)
    (tmp_path / "train/meta.json").write_text(content)
    with pytest.raises(BrokenExample, match=rf"train/meta\.json {sentence}|objects of a {sentence}"):
        palette_folder(tmp_path, "train")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda root: (root / "Annotations_6fps/sav_000044/001/00004.png").unlink(),
            r"Frame 4 of sav_000044: .*001/00004\.png does not exist",
        ),
        (lambda root: cut(root / "Annotations_6fps/sav_000044/000/00008.png"), r"000/00008\.png cannot be read"),
        (lambda root: (root / "JPEGImages_24fps/sav_000044/00008.jpg").unlink(), r"00008\.png has no picture"),
        (lambda root: (root / "Annotations_6fps/sav_000044/hat").mkdir(), "but holds 000, 001, hat"),
        (lambda root: shutil.rmtree(root / "Annotations_6fps/sav_000044"), "does not exist"),
    ],
)
def test_broken_object_folders(tmp_path, damage, sentence):
    dataset_cases.sa_v_val(tmp_path)
    damage(tmp_path)
    with pytest.raises(BrokenExample, match=sentence):
        read_all(object_folders(tmp_path))


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (
            ["masklet", 1, 0, "size"],
            [WIDTH, HEIGHT],
            r"Frame 4 .*manual\.json, masklet 0: the mask's size is \[40, 24\]",
        ),
        (["masklet", 1, 1, "counts"], "0", "Frame 4 .*masklet 1: the mask's runs add up to 0 pixels, but .* has 960"),
        (["masklet", 1, 1, "counts"], "\xe9~", "Frame 4 .*masklet 1: the counts of a run-length encoded mask"),
        (["masklet", 1, 1, "counts"], 5, "Frame 4 .*masklet 1: the counts of a run-length encoded mask"),
        (["masklet", 1, 1], 5, "Frame 4 .*masklet 1: a run-length encoded mask was expected, but '5' came"),
        (["masklet", 1], [None], "has 2 masklets, but not as many on frame 4"),
        (["masklet"], None, "has 'None' for 'masklet', where list was expected"),
        (["masklet"], [[None, None]] * 4, "has masks on frame 12, but 10 frames"),
        (["masklet_id"], ["a", 1], "for 'masklet_id', where numbers were expected"),
        (["masklet_edited_frame_count"], [1], "has 2 masklets, but the edited frames of 1"),
        (["video_height"], 12.0, "Frame 0 of sav_000001: .*40 x 24 pixels, but its annotations are for 40 x 12"),
        (["video_height"], None, "has 'None' for 'video_height', where int or float"),
    ],
)
def test_broken_annotations_of_sa_v(tmp_path, keys, value, sentence):
    dataset_cases.sa_v(tmp_path)
    rewrite(tmp_path / "sav_000/sav_000001_manual.json", lambda content: set_in(content, keys, value))
    with pytest.raises(BrokenExample, match=sentence):
        read_all(sa_v(tmp_path))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: cut(path, 0.5), r"Frame 0 of sav_000001: .*sav_000001\.mp4 cannot be read as a video"),
        (lambda path: path.unlink(), r"Frame 0 of sav_000001: .*sav_000001\.mp4 does not exist"),
        (lambda path: path.write_bytes(b""), r"Frame 0 of sav_000001: .*sav_000001\.mp4 cannot be read"),
        (lambda path: write_film(path, 8), r"sav_000001\.mp4 has 8 frames, but there are masks on frame 8"),
    ],
)
def test_broken_films_of_sa_v(tmp_path, damage, sentence):
    dataset_cases.sa_v(tmp_path)
    damage(tmp_path / "sav_000/sav_000001.mp4")
    with pytest.raises(BrokenExample, match=sentence):
        read_all(sa_v(tmp_path))


def write_film(path, frames):
    with dataset_cases.VideoWriter(path, 24, HEIGHT, WIDTH) as writer:
        for frame in range(frames):
            writer.write(dataset_cases.picture(frame))


def test_automatic_masklets_of_another_video(tmp_path):
    dataset_cases.sa_v(tmp_path)
    rewrite(tmp_path / "sav_000/sav_000001_auto.json", lambda content: content["masklet"].pop())
    with pytest.raises(BrokenExample, match=r"_auto\.json and .*_manual\.json differ"):
        sa_v(tmp_path, "both").video(0)


def test_extracted_frames_of_sa_v_that_are_missing(tmp_path):
    case = dataset_cases.sa_v_extracted(tmp_path)
    (tmp_path / "frames/sav_000001/00004.jpg").unlink()
    with pytest.raises(BrokenExample, match="holds no picture of frame 4, which has masks"):
        open_source(case.spec).video(0)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: (root / "sa_1.json").unlink(), r"sa_1\.json does not exist"),
        (lambda root: cut(root / "sa_1.json"), r"sa_1\.json is not JSON"),
        (lambda root: cut(root / "sa_1.jpg"), r"Frame 0 of sa_1: .*sa_1\.jpg cannot be read"),
        (
            lambda root: rewrite(root / "sa_1.json", lambda c: set_in(c, ["annotations", 1, "segmentation"], [[1, 2]])),
            r"sa_1\.json has '\[\[1, 2\]\]' for 'segmentation', where dict was expected",
        ),
        (
            lambda root: rewrite(root / "sa_1.json", lambda c: set_in(c, ["image", "height"], 25)),
            r"Frame 0 of sa_1: it has 40 x 24 pixels, but the video 40 x 25",
        ),
        (lambda root: rewrite(root / "sa_1.json", lambda c: c.pop("image")), r"sa_1\.json has 'None' for 'image'"),
    ],
)
def test_broken_pictures_of_sa_1b(tmp_path, damage, sentence):
    dataset_cases.sa_1b(tmp_path)
    damage(tmp_path)
    with pytest.raises(BrokenExample, match=sentence):
        read_all(sa_1b(tmp_path))


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (["annotations", 0, "segmentation"], [[1, 2, 3, 4]], "annotation 900 of .*139.png: a polygon is three points"),
        (["annotations", 0, "segmentation"], [1, 2, 3, 4, 5, 6], "annotation 900 of .*: a polygon is three points"),
        (["annotations", 0, "segmentation"], [], r"annotation 900 of .*: polygons .* were expected"),
        (
            ["annotations", 0, "segmentation"],
            [["a"] * 6],
            "annotation 900 of .*: a polygon has coordinates that are no",
        ),
        (["annotations", 1, "segmentation", "counts"], [0, 961], "Frame 0 .*annotation 901 of .*: .* add up to 961"),
        (["annotations", 1, "image_id"], 7, "does not list the picture 7 of its annotation 901"),
        (["images", 0, "height"], "24", "has '24' for 'height', where int"),
        (["images", 1, "file_name"], "000000000139.jpg", "has several pictures 000000000139"),
        (["images", 0, "file_name"], "000000000141.jpg", r"Frame 0 of 000000000141: .*141\.jpg does not exist"),
        (["images"], None, "has 'None' for 'images'"),
    ],
)
def test_broken_coco_files(tmp_path, keys, value, sentence):
    dataset_cases.coco(tmp_path)
    path = tmp_path / "annotations/instances_val2017.json"
    rewrite(path, lambda content: set_in(content, keys, value))
    with pytest.raises(BrokenExample, match=sentence):
        read_all(coco(path, tmp_path / "val2017"))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: (root / "masks/a.png").unlink(), r"masks/a\.png does not exist"),
        (lambda root: cut(root / "masks/a.png"), r"masks/a\.png cannot be read"),
        (lambda root: cut(root / "images/a.jpg", 0.9), r"Frame 0 of a: .*images/a\.jpg cannot be read"),
        (lambda root: ((root / "masks/a.png").unlink(), (root / "masks/a").mkdir()), "masks/a holds no .png files"),
    ],
)
def test_broken_picture_folders(tmp_path, damage, sentence):
    dataset_cases.pictures(tmp_path)
    damage(tmp_path)
    with pytest.raises(BrokenExample, match=sentence):
        read_all(picture_folder(tmp_path))


def test_two_pictures_of_one_name(tmp_path):
    dataset_cases.pictures(tmp_path)
    save_frame(tmp_path / "images/a.png", 5)
    with pytest.raises(ValueError, match="of which are the masks a"):
        picture_folder(tmp_path)


def test_names_in_a_list_that_are_not_there(tmp_path):
    dataset_cases.sa_1b(tmp_path / "sa_1b")
    dataset_cases.coco(tmp_path / "coco")
    dataset_cases.pictures(tmp_path / "pictures")
    (tmp_path / "names.txt").write_text("sa_5.jpg\n")
    for source in (
        sa_1b(tmp_path / "sa_1b", listed=tmp_path / "names.txt"),
        coco(
            tmp_path / "coco/annotations/instances_val2017.json",
            tmp_path / "coco/val2017",
            listed=tmp_path / "names.txt",
        ),
        picture_folder(tmp_path / "pictures", listed=tmp_path / "names.txt"),
    ):
        with pytest.raises(BrokenExample, match="sa_5"):
            source.video(0)
