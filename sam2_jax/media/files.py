# SPDX-License-Identifier: Apache-2.0
"""A file that appears whole or not at all.

In: the path to write. Out: a binary file to write to, which takes the path's place once it is complete.
"""

import contextlib
import os
import pathlib
import uuid


@contextlib.contextmanager
def replacing(path: str | os.PathLike):
    """A file to write to, which takes the place of `path` once it is complete."""
    path = pathlib.Path(path)
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
