# SPDX-License-Identifier: Apache-2.0
"""``python -m train configs/NAME.py --workdir DIR``: what is typed to train, on every host of a run alike.

In: a Python file with ``get_config() -> TrainConfig``, and fields to change. Out: the folder of the run
(`train.loop`). Exit codes: 0 the run is done; 2 bad input, in one sentence; 3 the loss is not finite; 75 asked to end,
to be started again.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

import cv2
import jax
from rich.markup import escape

from sam2_jax.compilation_cache import use_compilation_cache
from sam2_jax.media.paths import as_path, is_remote
from train.config import TrainConfig
from train.loop import NonFiniteLoss, Preempted, train
from train.metrics import console
from train.overrides import with_overrides

BAD_INPUT, NOT_FINITE, ASKED_TO_END = 2, 3, 75  # 75 is EX_TEMPFAIL: try again


def main(arguments: list[str]) -> int:
    """Trains; returns the exit code."""
    given = _parser().parse_args(arguments)
    cv2.setNumThreads(1)  # the pipeline's threads take one example each
    try:
        workdir = as_path(given.workdir)
        # The hosts of a pod that was taken away come back with empty disks.
        use_compilation_cache(workdir / "compiled" if is_remote(workdir) else None)
        config = with_overrides(load_config(given.config), given.set)
        connect(given.coordinator, given.processes, given.process)
        train(config, workdir)
    except Preempted as preempted:
        console.print(str(preempted), soft_wrap=True)
        return ASKED_TO_END
    except NonFiniteLoss as error:
        console.print("[bold red]error:[/]", escape(str(error)), soft_wrap=True)
        return NOT_FINITE
    except (ValueError, OSError) as error:
        console.print("[bold red]error:[/]", escape(str(error)), soft_wrap=True)
        return BAD_INPUT
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m train", description="Trains SAM 2.")
    parser.add_argument("config", help="a file of configs/, or FILE:WORD where its get_config takes a word")
    parser.add_argument("--workdir", required=True, help="the folder of the run, new or begun; or gs://BUCKET/NAME")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="changes a field")
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


def connect(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes one run of the processes on all hosts: as the arguments say, or as SLURM or a TPU pod tells.

    Raises:
        ValueError: some of the three arguments are given, but not all.
    """
    given = coordinator, processes, process
    if None not in given:
        jax.distributed.initialize(coordinator, processes, process)
    elif given != (None, None, None):
        raise ValueError("--coordinator, --processes and --process say one thing together; expected all three or none.")
    elif int(os.environ.get("SLURM_NTASKS", "1")) > 1 or _on_tpu():
        jax.distributed.initialize()


def _on_tpu() -> bool:
    """Whether this is a TPU machine, alone or one of a pod: JAX finds the others itself."""
    devices = any(Path("/dev").glob("accel*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    return devices and importlib.util.find_spec("libtpu") is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
