# SPDX-License-Identifier: Apache-2.0
"""Small data sets on disk, one of each layout, all of the same objects, with what a reader has to say of them.

In: a folder. Out: files in it, and a `Case`.
"""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data.formats import rle
from sam2_jax.media import palette, write_mask, write_picture
from sam2_jax.media.videos import VideoWriter, open_video

HEIGHT, WIDTH = 24, 40
SIZE = HEIGHT, WIDTH
IDENTITIES = (1, 3)


@dataclasses.dataclass
class Case:
    """A data set on disk.

    Attributes:
        spec: what `open_source` takes.
        names: of its videos.
        frames: (T, H, W, 3), of each video.
        masks: by annotated frame, (O, H, W).
        objects: their identities.
        root: its folder.
    """

    root: Path
    spec: str
    names: list[str]
    frames: np.ndarray
    masks: dict[int, np.ndarray]
    objects: tuple[int, ...]


def object_masks(frame: int) -> np.ndarray:
    """(2, H, W): a square that moves to the right, and a disk that appears on frame 3 and overlaps it."""
    masks = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    masks[0, 4:14, 2 + frame : 12 + frame] = 1
    if frame >= 3:
        cv2.circle(masks[1], (18, 14), 6, 1, -1)
    return masks.astype(bool)


def labels(frame: int) -> np.ndarray:
    """The same, one number a pixel; where they overlap, it is the disk."""
    square, disk = object_masks(frame)
    return np.where(disk, IDENTITIES[1], np.where(square, IDENTITIES[0], 0)).astype(np.uint8)


def label_masks(frame: int) -> np.ndarray:
    return np.stack([labels(frame) == identity for identity in IDENTITIES])


def picture(frame: int) -> np.ndarray:
    """(H, W, 3): smooth, so that JPEG and H.264 keep it well."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows * 8, columns * 5, (rows + columns + 4 * frame) * 2], -1).astype(np.uint8)


def save_labels(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    image.putpalette(palette(256).tobytes())
    image.save(path)


def save_frame(path: Path, frame: int) -> np.ndarray:
    """Writes a frame, and returns it as it can be read again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture(frame))
    return np.asarray(Image.open(path).convert("RGB"))


def save_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def segment(mask: np.ndarray) -> dict:
    return {"size": [HEIGHT, WIDTH], "counts": rle.encode(mask).decode()}


def davis(root: Path) -> Case:
    frames = []
    for name in ("bear", "camel", "extra"):
        frames = [save_frame(root / f"JPEGImages/480p/{name}/{t:05d}.jpg", t) for t in range(6)]
        for t in range(6):
            save_labels(root / f"Annotations/480p/{name}/{t:05d}.png", labels(t))
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/train.txt").write_text("camel\nbear\n")
    masks = {t: label_masks(t) for t in range(6)}
    return Case(root, f"{root}?split=train", ["bear", "camel"], np.stack(frames), masks, IDENTITIES)


def youtube_vos(root: Path) -> Case:
    """All frames, masks on every fifth, and a meta.json."""
    frames = []
    for name in ("003234408d", "0043f083b5"):
        frames = [save_frame(root / f"train/JPEGImages/{name}/{t:05d}.jpg", t) for t in range(11)]
        for t in range(0, 11, 5):
            save_labels(root / f"train/Annotations/{name}/{t:05d}.png", labels(t))
    objects = {"3": {"category": "duck", "frames": ["00005"]}, "1": {"category": "box", "frames": ["00000", "00005"]}}
    save_json(root / "train/meta.json", {"videos": {n: {"objects": objects} for n in ("003234408d", "0043f083b5")}})
    masks = {t: label_masks(t) for t in range(0, 11, 5)}
    return Case(root, f"{root}?split=train", ["003234408d", "0043f083b5"], np.stack(frames), masks, IDENTITIES)


def lvos(root: Path) -> Case:
    """Every fifth frame only, as files of eight digits."""
    frames = [save_frame(root / f"valid/JPEGImages/a/{5 * t + 1:08d}.jpg", t) for t in range(4)]
    for t in range(4):
        save_labels(root / f"valid/Annotations/a/{5 * t + 1:08d}.png", labels(t))
    masks = {t: label_masks(t) for t in range(4)}
    return Case(root, f"{root / 'valid'}", ["a"], np.stack(frames), masks, IDENTITIES)


def sa_v_val(root: Path) -> Case:
    frames = [save_frame(root / f"JPEGImages_24fps/sav_000044/{t:05d}.jpg", t) for t in range(9)]
    for t in range(0, 9, 4):
        for number, mask in enumerate(object_masks(t)):
            path = root / f"Annotations_6fps/sav_000044/{number:03d}/{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mask(path, mask)
    (root / "sav_val.txt").write_text("sav_000044\n")
    masks = {t: object_masks(t) for t in range(0, 9, 4)}
    return Case(root, f"sa_v:{root}", ["sav_000044"], np.stack(frames), masks, (0, 1))


def sa_v_annotations(kind: str, missing: bool = True) -> dict:
    """Of 10 frames; the disk is null on the first of the three that have masks."""
    rows = [[segment(mask) for mask in object_masks(t)] for t in (0, 4, 8)]
    if missing:
        rows[0][1] = None
    return {
        "video_id": "sav_000001",
        "video_frame_count": 10.0,
        "video_height": float(HEIGHT),
        "video_width": float(WIDTH),
        "video_environment": "Indoor",
        "video_split": "train",
        "masklet": rows,
        "masklet_id": [0, 1],
        "masklet_edited_frame_count": [2, 1] if kind == "manual" else [0, 0],
    }


def sa_v(root: Path) -> Case:
    for folder, name in (("sav_000", "sav_000001"), ("sav_001", "sav_000002")):
        for kind in ("manual", "auto"):
            save_json(root / folder / f"{name}_{kind}.json", sa_v_annotations(kind))
        with VideoWriter(root / folder / f"{name}.mp4", 24, HEIGHT, WIDTH) as writer:
            for t in range(10):
                writer.write(picture(t))
    (root / "sav_001/sav_000002_auto.json").unlink()
    frames = np.stack(list(open_video(root / "sav_000/sav_000001.mp4")))
    masks = {t: object_masks(t) for t in (0, 4, 8)}
    return Case(root, str(root), ["sav_000001", "sav_000002"], frames, masks, (0, 1))


def sa_v_extracted(root: Path) -> Case:
    frames = [save_frame(root / f"frames/sav_000001/{t:05d}.jpg", t) for t in (0, 4, 8)]
    save_json(root / "json/sav_000001_manual.json", sa_v_annotations("manual"))
    masks = {place: object_masks(t) for place, t in enumerate((0, 4, 8))}
    spec = f"{root / 'json'}?pictures={root / 'frames'}"
    return Case(root, spec, ["sav_000001"], np.stack(frames), masks, (0, 1))


def sa_1b(root: Path) -> Case:
    for name in ("sa_1", "sa_22"):
        frame = save_frame(root / f"{name}.jpg", 5)
        annotations = [
            {"id": identity, "segmentation": segment(mask), "predicted_iou": 0.9, "stability_score": 0.97}
            for identity, mask in zip((71, 72), object_masks(5))
        ]
        image = {"image_id": 1, "width": WIDTH, "height": HEIGHT, "file_name": f"{name}.jpg"}
        save_json(root / f"{name}.json", {"image": image, "annotations": annotations})
    return Case(root, str(root), ["sa_1", "sa_22"], frame[None], {0: object_masks(5)}, (71, 72))


def coco(root: Path) -> Case:
    """A rectangle as polygon, a disk as uncompressed counts, and a picture without annotations."""
    frame = save_frame(root / "val2017/000000000139.png", 5)
    save_frame(root / "val2017/000000000140.png", 5)
    square, disk = object_masks(5)
    column = disk.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(column, prepend=0, append=1 - column[-1]))
    counts = np.diff(edges, prepend=0).tolist()
    left, right = np.flatnonzero(square.any(0))[[0, -1]].tolist()
    content = {
        "images": [
            {"id": 139, "file_name": "000000000139.png", "height": HEIGHT, "width": WIDTH},
            {"id": 140, "file_name": "000000000140.png", "height": HEIGHT, "width": WIDTH},
        ],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "duck"}],
        "annotations": [
            {
                "id": 900,
                "image_id": 139,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": [[left, 4, right + 1, 4, right + 1, 14, left, 14]],
            },
            {
                "id": 901,
                "image_id": 139,
                "category_id": 2,
                "iscrowd": 1,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts},
            },
        ],
    }
    save_json(root / "annotations/instances_val2017.json", content)
    spec = f"{root}/annotations/instances_val2017.json?pictures={root}/val2017"
    return Case(root, spec, ["000000000139"], frame[None], {0: object_masks(5)}, (900, 901))


def pictures(root: Path) -> Case:
    for name in ("a.jpg", "b.jpeg"):
        frame = save_frame(root / "images" / name, 5)
        save_labels(root / "masks" / f"{name[0]}.png", labels(5))
    return Case(root, str(root), ["a", "b"], frame[None], {0: label_masks(5)}, IDENTITIES)


def pictures_of_several_masks(root: Path) -> Case:
    frame = save_frame(root / "images/a.png", 5)
    for number, mask in zip((2, 10), object_masks(5)):
        (root / "masks/a").mkdir(parents=True, exist_ok=True)
        write_mask(root / f"masks/a/{number}.png", mask)
    return Case(root, str(root), ["a"], frame[None], {0: object_masks(5)}, (2, 10))


LAYOUTS = [
    davis,
    youtube_vos,
    lvos,
    sa_v_val,
    sa_v,
    sa_v_extracted,
    sa_1b,
    coco,
    pictures,
    pictures_of_several_masks,
]
