# SPDX-License-Identifier: Apache-2.0
"""``python -m train configs/NAME.py --workdir DIR``: what is typed to train, on every host of a run alike.

In: a Python file with ``get_config() -> TrainConfig``, and fields to change. Out: the folder of the run
(`train.loop`). Exit codes: 0 the run is done; 2 bad input, in one sentence; 3 the loss is not finite; 75 asked to end,
to be started again; 1 a bug, with its traceback. Where a process of several fails, all end with its code.
"""

import argparse
import importlib.util
import sys
from pathlib import Path

import cv2

from sam2_jax.compilation_cache import use_compilation_cache
from sam2_jax.media.paths import as_path, is_remote
from train.config import TrainConfig
from train.endings import EXPECTED, ending, say
from train.hosts import connect, ending_together
from train.loop import train
from train.overrides import with_overrides
from train.profiler import parse_profiled_steps


def main(arguments: list[str]) -> int:
    """Trains; returns the exit code."""
    given = _parser().parse_args(arguments)
    cv2.setNumThreads(1)  # the pipeline's threads take one example each
    try:
        workdir = as_path(given.workdir)
        # The hosts of a pod that was taken away come back with empty disks.
        use_compilation_cache(workdir / "compiled" if is_remote(workdir) else None)
        connect(given.coordinator, given.processes, given.process)
        with ending_together():
            profiled = parse_profiled_steps(given.profile) if given.profile else None
            train(with_overrides(load_config(given.config), given.set), workdir, profiled)
    except EXPECTED as error:
        code, text = ending(error)
        say(text)
        return code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m train", description="Trains SAM 2.")
    parser.add_argument("config", help="a file of configs/, or FILE:WORD where its get_config takes a word")
    parser.add_argument("--workdir", required=True, help="the folder of the run, new or begun; or gs://BUCKET/NAME")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="changes a field")
    parser.add_argument("--profile", metavar="STEP:N", help="traces N steps from the STEPth of this start on")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="of process 0, where nothing else tells the hosts")
    parser.add_argument("--processes", type=int, help="how many there are")
    parser.add_argument("--process", type=int, help="which of them this is, from 0")
    return parser


def load_config(text: str) -> TrainConfig:
    """Runs a config file.

    Args:
        text: ``FILE`` or ``FILE:WORD``; the word is the argument of its ``get_config``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no ``get_config``, or that takes no such word.
    """
    path, separator, word = text.partition(":")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a Python file with get_config().")
    spec = importlib.util.spec_from_file_location(f"configs.{Path(path).stem}", path)
    if spec is None:
        raise ValueError(f"{path} is no Python file; expected one with get_config().")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise ValueError(f"{path} has no get_config(); expected one that returns a TrainConfig.")
    config = module.get_config(*([word] if separator else []))
    if not isinstance(config, TrainConfig):
        raise ValueError(f"get_config() of {path} returned a {type(config).__name__}; expected a TrainConfig.")
    return config


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
