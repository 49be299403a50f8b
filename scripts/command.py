# SPDX-License-Identifier: Apache-2.0
"""What all commands share: arguments, exit codes, output folders.

In: a function whose arguments are the command's. Out: its exit code: 0, or 2 and one clear sentence for bad input.
"""

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from sam2_jax.media.paths import as_path

# Progress and remarks go to standard error, so that standard output is the result alone.
console = Console(stderr=True, highlight=False)

_BAD_INPUT = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)

Weights = Annotated[Path, tyro.conf.arg(metavar="NAME|FILE|DIR")]
NANO = Path("nano")  # the weights that come with the package
Dtype = Literal["float32", "bfloat16"]


def run(function: Callable[..., None]) -> None:
    """Calls the function with the arguments of the command line."""
    _answer(lambda: tyro.cli(function, prog=f"python -m scripts.{function.__name__}"))


def run_one_of(name: str, functions: dict[str, Callable[..., None]]) -> None:
    """Calls the function that the command's first word names."""
    _answer(lambda: tyro.extras.subcommand_cli_from_dict(functions, prog=f"python -m scripts.{name}"))


def _answer(call: Callable[[], None]) -> None:
    from sam2_jax.compilation_cache import use_compilation_cache  # loads jax, which workers of a command may not need

    try:
        try:
            use_compilation_cache()
            call()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_left():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _BAD_INPUT as error:
        console.print("[bold red]error:[/]", escape(str(error)), soft_wrap=True)
        sys.exit(2)


def _reader_left() -> bool:
    """Whether who read standard output has seen enough, as `head` has. Other pipes, as of a process, may break too."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    return bool(poll.poll(0))


def output_folder(folder: Path, files: list[str], overwrite: bool) -> Path:
    """Makes the folder that results go to.

    Raises:
        FileExistsError: a result is there already, and `overwrite` is not set.
    """
    folder = as_path(folder)
    there = [name for name in files if (folder / name).exists()]
    if there and not overwrite:
        raise FileExistsError(f"{folder} holds {', '.join(there)} already; give another --out, or --overwrite.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def numbers(text: str, counts: tuple[int, ...], what: str) -> list[float]:
    """The numbers of an argument such as ``10,20.5``.

    Raises:
        ValueError: it is anything else.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in counts:
        raise ValueError(f"{text!r} is not a {what}.")
    return values
