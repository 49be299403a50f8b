# SPDX-License-Identifier: Apache-2.0
"""The README's examples run as they stand (on a smaller input, so that a test can afford them)."""

import functools
import re
import shlex

import numpy as np
import pytest
from command_line import ROOT, run
from PIL import Image
from small import rule_params

import sam2_jax
from sam2_jax.config import published_config
from sam2_jax.media.videos import VideoWriter
from sam2_jax.model import SAM2

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("&&")[-1].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if "scripts." in line and "compile_for_tpu" not in line  # test_compile_for_tpu.py has that one
]
# So that a test can afford them.
SMALLER = {"segment_": ["--image-size", "64"], "evaluate vos": ["--most-videos", "1", "--most-frames", "3"]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model = SAM2(published_config("sam2.1_hiera_tiny"))
    path = tmp_path_factory.mktemp("published") / "sam2.1_hiera_tiny.pt"
    sam2_jax.export_torch(path, model, rule_params(model))
    return path


@pytest.fixture
def folder(checkpoint, tmp_path, monkeypatch):
    (tmp_path / checkpoint.name).symlink_to(checkpoint)
    (tmp_path / "outputs").mkdir()
    with VideoWriter(tmp_path / "dog.mp4", 24, 48, 64) as writer:
        for frame in np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8):
            writer.write(frame)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)).save(tmp_path / "truck.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def smaller(load, path, image_size=None, dtype=None, **overrides):
    return load(path, 64, dtype, **overrides)


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_every_example_runs(block, folder, monkeypatch):
    monkeypatch.setattr(sam2_jax, "load", functools.partial(smaller, sam2_jax.load), raising=False)
    exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command, folder):
    python, m, *words = shlex.split(command)
    assert (python, m) == ("python", "-m")
    words += [word for part, smaller in SMALLER.items() if part in command for word in smaller]
    answer = run(*words)
    assert answer.returncode == 0, answer.stderr
    assert any((folder / "outputs").iterdir())
