# SPDX-License-Identifier: Apache-2.0
"""The door to the data sets on disk: a source for a folder or a file, whatever its layout.

In: where the data is, in one string, as it stands in a configuration or on a command line. Out: a `Source`. Each layout
has a file of its own with a function, whose arguments are the options here.
"""

import os
import re
from pathlib import Path

from data.formats.coco import coco
from data.formats.listing import files, subfolders, video_folders
from data.formats.object_folders import object_folders
from data.formats.palette_folder import palette_folder
from data.formats.picture_folder import picture_folder
from data.formats.sa_1b import sa_1b
from data.formats.sa_v import sa_v
from data.source import Source
from sam2_jax.media.paths import as_path, is_remote

_PALETTE = "JPEGImages and Annotations, with a palette PNG a frame"
LAYOUTS = {
    "palette": _PALETTE,
    "davis": _PALETTE,
    "mose": _PALETTE,
    "youtube_vos": _PALETTE,
    "lvos": _PALETTE,
    "vost": _PALETTE,
    "object_folders": "JPEGImages and Annotations, with a folder of PNG files for each object",
    "sa_v": "VIDEO.mp4 with VIDEO_manual.json and VIDEO_auto.json; or object_folders",
    "sa_1b": "sa_1.jpg with sa_1.json",
    "coco": "a JSON file of COCO's instances, or a folder with _annotations.coco.json",
    "pictures": "images and masks",
    "prepared": "a TFDS data set, dataset_info.json with ArrayRecord files",
}


def open_source(spec: str | os.PathLike) -> Source:
    """The source of a data set on disk.

    Args:
        spec: PATH, whose layout is recognised, or LAYOUT:PATH, with a name of `LAYOUTS`, which also names the source.
            Options may follow: "davis:/data/DAVIS?split=train&resolution=480p", "/data/sav_train?masklets=both",
            "/data/coco/annotations/instances_val2017.json?pictures=/data/coco/val2017". They are arguments of the
            layout's function: split, resolution, void, masklets, pictures, and listed, a text file of names. A `Path`
            has neither layout nor options. Prepared data may be in a bucket: "gs://bucket/prepared/davis/1.0.0".
            "synthetic" stands for the held-out made-up videos, and "synthetic:SPLIT" for any split of
            `data.synthetic`, such as "synthetic:training_pictures?size=128".

    Raises:
        ValueError: there is no such path, its layout is not known, an option is not one of the layout's, or the data
            set has no such split, no videos or the like.
        BrokenExample: a file on the whole data set is damaged.
    """
    if isinstance(spec, str) and re.match(r"synthetic(?![\w/.])", spec):
        return _made_up(spec)
    layout, path, options = _parts(spec) if isinstance(spec, str) else (None, as_path(spec), {})
    if not path.exists():
        raise ValueError(f"There is no folder or file {path}.")
    if is_remote(path):
        if layout not in (None, "prepared") or not (path / "dataset_info.json").exists():
            raise ValueError(
                f"{path} is in a bucket and holds no prepared data, which is all that is read there: prepare it here "
                "(scripts.prepare_dataset), and copy it there with gcloud storage cp -r."
            )
        layout = "prepared"
    name = layout
    if layout in (None, "sa_v"):
        recognised = _recognised(path, options)
        name = layout or recognised
        layout = recognised if layout is None or recognised == "object_folders" else layout
    take = options.pop
    match layout:
        case "palette" | "davis" | "mose" | "youtube_vos" | "lvos" | "vost":
            void = take("void", "255" if layout in ("davis", "lvos", "vost") else "")
            if void and not void.isdecimal():
                raise ValueError(f"void is an index of the palette, but {void!r} came.")
            split, resolution, listed = take("split", None), take("resolution", None), take("listed", None)
            make, arguments = palette_folder, (path, split, resolution, listed, int(void) if void else None, name)
        case "object_folders":
            make, arguments = object_folders, (path, take("split", None), take("listed", None), name)
        case "sa_v":
            masklets, pictures, listed = take("masklets", "manual"), take("pictures", None), take("listed", None)
            make, arguments = sa_v, (path, masklets, pictures, listed, name)
        case "sa_1b":
            make, arguments = sa_1b, (path, take("listed", None), name)
        case "coco":
            path = path / "_annotations.coco.json" if path.is_dir() else path
            make, arguments = coco, (path, take("pictures", None), take("listed", None), name)
        case "pictures":
            make, arguments = picture_folder, (path, take("listed", None), name)
        case "prepared":
            from data.prepared.records import Records  # TFDS takes a second to load

            make, arguments = Records, (path, take("split", None))
    if options:
        raise ValueError(f"Data in the layout {layout} have no option {next(iter(options))!r}, which stands in {spec}.")
    return make(*arguments)


def _made_up(spec: str) -> Source:
    """A split of `data.synthetic`, which stands on no disk."""
    from data import synthetic  # draws its textures on loading

    splits = {
        split.__name__: split
        for split in (
            synthetic.held_out_videos,
            synthetic.held_out_pictures,
            synthetic.training_videos,
            synthetic.training_pictures,
            synthetic.clear_held_out_videos,
            synthetic.clear_held_out_pictures,
            synthetic.clear_training_videos,
            synthetic.clear_training_pictures,
        )
    }
    match = re.fullmatch(r"synthetic(?::(\w+))?(?:\?size=(\d+))?", spec)
    name = match and (match[1] or "held_out_videos")
    if name not in splits:
        raise ValueError(f"{spec} is none of {', '.join(f'synthetic:{split}' for split in splits)}, with ?size=PIXELS.")
    return splits[name](**({"size": int(match[2])} if match[2] else {}))


def _parts(spec: str) -> tuple[str | None, Path, dict[str, str]]:
    """The layout, the path and the options of a spec."""
    place, _, query = spec.partition("?")
    layout, path = None, place
    if match := re.fullmatch(r"(\w+):(?!//)(.*)", place):
        layout, path = match.groups()
        if layout not in LAYOUTS:
            raise ValueError(f"{layout!r} is none of the layouts {', '.join(LAYOUTS)}; it stands in {spec}.")
    options = {}
    for option in query.split("&") if query else ():
        key, equals, value = option.partition("=")
        if not equals or not value or key in options:
            raise ValueError(f"Options are written ?name=value&name=value, but {query!r} came in {spec}.")
        options[key] = value
    return layout, as_path(path), options


def _recognised(path: Path, options: dict[str, str]) -> str:
    """The layout of a folder or file, by the names in it."""
    if path.is_file():
        if path.suffix.lower() == ".json":
            return "coco"
        raise ValueError(f"{path} is a file, but a data set is a folder, or a JSON file in the manner of COCO.")
    folders, inside = subfolders(path), os.listdir(path)
    if "dataset_info.json" in inside:
        return "prepared"
    if "_annotations.coco.json" in inside:
        return "coco"
    if {"images", "masks"} <= set(folders):
        return "pictures"
    split = options.get("split")
    if _has_frames(path) or (split is not None and _has_frames(path / split)):
        _, masks, _ = video_folders(path, split, options.get("resolution"))
        first = next(iter(subfolders(masks)), None)
        return "object_folders" if first is not None and subfolders(masks / first) else "palette"
    for folder in ["", *folders]:
        found = set(files(path / folder, (".json",)))
        if any(file.endswith(("_manual.json", "_auto.json")) for file in found):
            return "sa_v"
        if any(re.fullmatch(r"sa_\d+\.json", file) for file in found):
            return "sa_1b"
    splits = [folder for folder in folders if _has_frames(path / folder)]
    if splits:
        raise ValueError(f"{path} holds {' and '.join(splits)}: say which to read, as in {path}?split={splits[0]}.")
    known = "; ".join(
        f"{layout}: {what}" for layout, what in LAYOUTS.items() if layout == "palette" or what != _PALETTE
    )
    found = ", ".join(sorted(inside)[:8]) or "nothing"
    raise ValueError(f"The layout of {path} is not known. It holds {found}. Known are: {known}.")


def _has_frames(folder: Path) -> bool:
    return folder.is_dir() and any(name.startswith("JPEGImages") for name in subfolders(folder))
