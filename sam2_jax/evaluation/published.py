# SPDX-License-Identifier: Apache-2.0
"""The paper's own numbers, to stand beside ours.

In: a protocol and the name of a data set. Out: what SAM 2 reached, with where it says so. Numbers on the same data can
be compared with ours; others only tell the range.
"""

from dataclasses import dataclass

# What the paper calls the data that a source of that name reads.
_SAME = {"youtube_vos": "YouTube-VOS 2019 val", "davis": "DAVIS 2017 val", "mose": "MOSE val"}
_SAME |= {"lvos": "LVOS v2 val", "sa_v": "SA-V val", "vost": "VOST"}
_SIZES = ("T*", "S*", "B+*", "L*", "B+", "L")


@dataclass(frozen=True)
class Published:
    """One number of the paper.

    Attributes:
        data: the data set, or how many of them.
        model: the image encoder; with a star, a released checkpoint that was not trained on VOS data sets.
        metric: as ours are called.
        value: in ours' unit.
        where: the table or figure.
        comparable: whether it was taken on the data set that was asked for.
    """

    data: str
    model: str
    metric: str
    value: float
    where: str
    comparable: bool = False


def _row(data: str, metric: str, where: str, values: tuple[float, ...], sizes=_SIZES) -> list[Published]:
    return [Published(data, size, metric, value, where) for size, value in zip(sizes, values, strict=True)]


_MASK = [
    *_row("SA-V val", "J&F", "Table 17a", (75.2, 77.0, 77.5, 78.6, 76.8, 77.9)),
    *_row("SA-V test", "J&F", "Table 17a", (76.5, 76.6, 78.2, 79.5, 77.0, 78.4)),
    *_row("LVOS v2 val", "G", "Table 17c", (77.3, 78.3, 78.2, 80.6, 78.7, 79.6)),
    *_row("MOSE val", "J&F", "Table 17d", (71.8, 73.5, 73.8, 74.6, 76.6, 77.9)),
    *_row("DAVIS 2017 val", "J&F", "Table 17d", (89.4, 89.6, 90.0, 90.2, 90.2, 90.7)),
    *_row("YouTube-VOS 2019 val", "G", "Table 17d", (87.4, 88.0, 88.2, 88.8, 88.6, 89.3)),
]
_SETS = (
    "EndoVis 2018",
    "ESD",
    "LVOS v2 val",
    "LV-VIS",
    "PUMaVOS",
    "UVO",
    "VIPSeg",
    "Virtual KITTI 2",
    "VOST",
    "9 sets",
)
_ROUNDS = {
    "offline": ("Figure 12", (77.0, 90.2, 87.9, 90.3, 68.5, 79.2, 88.3, 74.1, 67.5, 80.3)),
    "online": ("Figure 13", (77.5, 88.9, 87.8, 88.7, 72.7, 78.6, 85.5, 74.0, 65.0, 79.8)),
}
_PROMPTS = {"1-click": 64.7, "3-click": 75.3, "5-click": 77.6, "box": 74.4, "mask": 79.3}
_IMAGES = [
    *_row("SA-23", "mIoU 1 click", "Table 15", (61.9, 63.6), ("B+", "L")),
    *_row("SA-23", "mIoU 5 clicks", "Table 15", (83.5, 83.5), ("B+", "L")),
    *_row("14 video sets", "mIoU 1 click", "Table 15", (69.6, 71.1), ("B+", "L")),
    *_row("14 video sets", "mIoU 5 clicks", "Table 15", (85.8, 85.7), ("B+", "L")),
]
_DAVIS = [
    *_row("DAVIS 2017 val", "AUC-J&F", "Table 14", (0.86,), ("B+",)),
    *_row("DAVIS 2017 val", "J&F@60s", "Table 14", (0.90,), ("B+",)),
]
_SPEED = [
    *_row("A100", "video frames/s", "section 7", (43.8, 30.2), ("B+", "L")),
    *_row("A100", "pictures/s", "Table 15", (130.1, 61.4), ("B+", "L")),
]


def published(protocol: str, data: str = "", prompt: str = "mask") -> list[Published]:
    """The paper's numbers for a protocol: those on the data set of that name, or, where there are none, the averages.

    Args:
        protocol: vos, offline, online, images, davis or speed.
        data: the name of a source.
        prompt: of vos.
    """
    if protocol == "vos":
        rows = _MASK if prompt == "mask" else []
        rows = [*rows, Published("17 sets", "B+", "J&F", _PROMPTS[prompt], "Table 4")]
    elif protocol in _ROUNDS:
        where, values = _ROUNDS[protocol]
        rows = [Published(name, "B+", "J&F", value, where) for name, value in zip(_SETS, values, strict=True)]
    else:
        rows = {"images": _IMAGES, "davis": _DAVIS, "speed": _SPEED}[protocol]
    wanted = _SAME.get(data)
    same = [Published(**(vars(row) | {"comparable": True})) for row in rows if row.data == wanted]
    return same or [row for row in rows if "set" in row.data or protocol in ("images", "davis", "speed")]
