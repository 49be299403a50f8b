# SPDX-License-Identifier: Apache-2.0
"""The published PyTorch package in a process of its own, told line by line what to do.

In: `PyTorchWorker(python, ...)` starts this file with an interpreter that has the package. Out: each call returns when
the work is done, so both sides can be timed in turn.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

_SHORT = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}


class PyTorchWorker:
    """The package at work on one model.

    Raises:
        ModuleNotFoundError: that interpreter does not have it; the message says what failed.
    """

    def __init__(self, python: str, model: str, image_size: int, threads: int):
        self._process = subprocess.Popen(
            [python, str(Path(__file__)), model, str(image_size), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout.readline().strip() != "ready":
            reason = self._process.communicate()[1].strip().splitlines()[-1:]
            raise ModuleNotFoundError(f"the PyTorch package does not run under {python}: {''.join(reason)}")

    @property
    def process(self) -> int:
        """The number of its process."""
        return self._process.pid

    def __call__(self, task: str) -> None:
        """Does ``encode``, ``click``, ``prompt OBJECTS FRAMES`` (a new video) or ``track`` (its next frame)."""
        self._process.stdin.write(task + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline().strip() != "done":
            raise RuntimeError(self._process.communicate()[1])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def _work(model: str, image_size: int, threads: int) -> None:
    import numpy as np
    import torch
    from sam2.build_sam import build_sam2_video_predictor
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    torch.set_num_threads(threads)
    version, _, size = model.partition("_hiera_")
    config = f"configs/{version}/{version}_hiera_{_SHORT[size]}.yaml"
    overrides = [f"++model.image_size={image_size}"]
    network = build_sam2_video_predictor(config, None, device="cpu", mode="eval", hydra_overrides_extra=overrides)
    predictor = SAM2ImagePredictor(network)
    side = image_size // 16
    predictor._bb_feat_sizes = [(4 * side, 4 * side), (2 * side, 2 * side), (side, side)]  # fixed to 1024 there
    frame = torch.randn(1, 3, image_size, image_size)
    picture = np.random.default_rng(0).integers(0, 255, (image_size, image_size, 3), np.uint8)
    point, label = np.array([[image_size / 2, image_size / 2]]), np.array([1])
    masks = None

    def prompt(objects, frames):
        nonlocal masks
        with tempfile.TemporaryDirectory() as folder:
            _write_frames(Path(folder), image_size, int(frames))
            state = network.init_state(folder)
        for obj_id in range(int(objects)):
            network.add_new_points_or_box(state, 0, obj_id, box=np.array([0.2, 0.2, 0.6, 0.6]) * image_size)
        masks = network.propagate_in_video(state)
        next(masks)

    tasks = {
        "encode": lambda: network.forward_image(frame),
        "click": lambda: predictor.predict(point_coords=point, point_labels=label),
        "prompt": prompt,
        "track": lambda: next(masks),
    }
    with torch.inference_mode():
        predictor.set_image(picture)
        print("ready", flush=True)
        for line in sys.stdin:
            task, *numbers = line.split()
            tasks[task](*numbers)
            print("done", flush=True)


def _write_frames(folder: Path, size: int, count: int) -> None:
    import numpy as np
    from PIL import Image

    for index in range(count):
        Image.fromarray(np.full((size, size, 3), 5 * index % 256, np.uint8)).save(folder / f"{index:05d}.jpg")


if __name__ == "__main__":
    # The package writes to standard output while it loads; only our own words may go there.
    _work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
