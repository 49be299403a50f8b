# SPDX-License-Identifier: Apache-2.0
"""A file that appears whole or not at all.

In: the path to write. Out: a binary file to write to, which takes the path's place once it is complete.
"""

import contextlib
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from sam2_jax.media.paths import as_path, is_remote


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file on this machine to write to, which takes the place of `path` once it is complete.

    On a disk by a rename; in a bucket, which has none, it is sent as one object, which appears when all of it is there.

    Raises:
        FileNotFoundError: the folder of `path` does not exist; a bucket has no folders.
    """
    path = as_path(path)
    with _sent(path) if is_remote(path) else _renamed(path) as file:
        yield file


@contextlib.contextmanager
def _renamed(path: pathlib.Path) -> Iterator[BinaryIO]:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist.")
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _sent(path: pathlib.Path) -> Iterator[BinaryIO]:
    import fsspec

    with tempfile.NamedTemporaryFile(suffix=path.suffix) as file:
        yield file
        file.flush()
        # Not `path.open`: an upload that is interrupted there is closed, and so completed, with the bytes it has.
        filesystem, name = fsspec.url_to_fs(os.fspath(path))
        filesystem.put_file(file.name, name)
