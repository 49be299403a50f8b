# SPDX-License-Identifier: Apache-2.0
"""The paths that users give: on this machine, or in a bucket.

In: a string or a path, such as ``runs/one`` or ``gs://bucket/runs/one``. Out: an object with pathlib's methods, either
`pathlib.Path` or, in a bucket, `etils.epath.Path`. A bucket has no folders, takes no bytes at the end of an object and
renames nothing: objects are written whole (`sam2_jax.media.files`).
"""

import contextlib
import importlib.util
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator

# By scheme, the package that fsspec reads it with, and how it is installed.
_FILE_SYSTEMS = {"gs": ("gcsfs", 'pip install "sam2-jax[gcs]"'), "s3": ("s3fs", "pip install s3fs")}
# One slash, too: it is what `pathlib.Path("gs://bucket")` makes of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")


def as_path(path: str | os.PathLike) -> pathlib.Path:
    """A user's path, ready to be used; nothing is looked up.

    Raises:
        ValueError: it has a scheme that is not known, or one whose package is not installed.
    """
    text = os.fspath(path)
    match = _SCHEME.match(text)
    if match is None:
        return pathlib.Path(text)
    scheme, name = match[1].lower(), text[match.end() :]
    if scheme not in _FILE_SYSTEMS:
        installs = " or ".join(f"{known}:// ({install})" for known, (_, install) in _FILE_SYSTEMS.items())
        raise ValueError(f"{scheme}://{name} has the scheme {scheme}; expected a local path, {installs}.")
    package, install = _FILE_SYSTEMS[scheme]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{scheme}://{name} needs {package}, which is not installed: {install}.")
    if not name:
        raise ValueError(f"{scheme}:// names no bucket; expected {scheme}://BUCKET/NAME.")

    import fsspec
    from etils import epath

    # A cached listing hides what other processes have written since, even from `exists`.
    fsspec.config.conf.setdefault(scheme, {}).setdefault("use_listings_cache", False)
    return epath.Path(f"{scheme}://{name}")


def absolute(path: pathlib.Path) -> pathlib.Path:
    """A path of `as_path` that does not depend on the current folder; one in a bucket never does."""
    return path if is_remote(path) else path.absolute()


def last_written(path: pathlib.Path) -> int:
    """When a file, or any file of a folder, was written last, in nanoseconds; 0 where there is none."""
    if not is_remote(path):
        files = [path, *path.rglob("*")] if path.exists() else []
        return max((file.stat().st_mtime_ns for file in files), default=0)
    import fsspec

    filesystem, name = fsspec.url_to_fs(os.fspath(path))
    written = (filesystem.modified(file) for file in filesystem.find(name))
    return max((int(1e9 * time.timestamp()) for time in written), default=0)


def is_remote(path: os.PathLike) -> bool:
    """Whether a path that `as_path` returned is in a bucket."""
    return not isinstance(path, pathlib.Path)


def local_path(path: str | os.PathLike, what: str) -> pathlib.Path:
    """`as_path`, for what works on this machine's own disk only.

    Args:
        what: what the path is of, to begin a sentence with.

    Raises:
        ValueError: the path is in a bucket.
    """
    path = as_path(path)
    if is_remote(path):
        raise ValueError(f"{what} is {path}; expected a path on this machine.")
    return path


@contextlib.contextmanager
def local_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file on this machine with the content of one anywhere: the file itself, or a copy that is removed at the end.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as copy:
        with path.open("rb") as file:
            while block := file.read(2**24):
                copy.write(block)
        copy.flush()
        yield pathlib.Path(copy.name)
