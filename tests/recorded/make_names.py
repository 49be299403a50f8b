# SPDX-License-Identifier: Apache-2.0
"""Records the names and shapes of every tensor of the published checkpoints, and of transformers' models.

    python tests/recorded/make_names.py tests/recorded/names.json.gz

It needs the PyTorch package (PyPI: sam2 1.1.0) and transformers (5.23).
"""

import gzip
import json
import sys

from sam2.build_sam import build_sam2
from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

SHORT = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


def shapes(model) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def main() -> None:
    sets = {}
    for version in ("sam2", "sam2.1"):
        for size, short in SHORT.items():
            config = f"configs/{version}/{version}_hiera_{short}.yaml"
            sets[f"{version}_hiera_{size}"] = shapes(build_sam2(config, None, device="cpu", mode="eval"))
    sets["Sam2Model"] = shapes(Sam2Model(Sam2Config()))
    sets["Sam2VideoModel"] = shapes(Sam2VideoModel(Sam2VideoConfig()))
    sets["Sam2Model/config"] = Sam2Config().to_dict()
    sets["Sam2VideoModel/config"] = Sam2VideoConfig().to_dict()
    with open(sys.argv[1], "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
        packed.write(json.dumps(sets, default=str).encode())


main()
