# SPDX-License-Identifier: Apache-2.0
"""PyTorch `.pt` files, read and written without torch.

In and out: a flat state dict, from each parameter's name to its NumPy array, in file order.

A `.pt` file is a zip archive: `data.pkl` is a pickle that describes the tensors, `data/0`, `data/1`, ... hold their
storages. The pickle is understood without being run (`torch_pickle`).
"""

import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sam2_jax.checkpoints.error import CheckpointError
from sam2_jax.checkpoints.torch_pickle import STORAGE_NAMES, Tensor, describe, interpret, kind
from sam2_jax.media.files import replacing
from sam2_jax.media.paths import as_path, local_file

_ZIP_MARK = b"PK\x03\x04"
_ZIP_LOCAL_HEADER_BYTES = 30
_LEGACY_MARK = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_STORAGE_ALIGNMENT = 64
_MAX_AXES = 64  # NumPy's own limit

# zipfile, pickletools, and operations that do not fit together raise all of these; each means a damaged file.
_DAMAGE = (
    *(zipfile.BadZipFile, struct.error, OSError, EOFError, ArithmeticError),
    *(LookupError, TypeError, ValueError, AttributeError, RuntimeError),
)


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the state dict of a file that `torch.save` wrote: either bare, or as the entry "model" of a dict.

    Arrays are read-only; tensors that share a storage in the file share their memory here. Entries beside "model"
    are not loaded. Raises FileNotFoundError, or CheckpointError for every other file that holds no state dict.
    """
    path = as_path(path)
    expected = "expected a .pt file of weights as torch.save writes it"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {expected}")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; {expected}")
    with local_file(path) as copy, copy.open("rb") as file:
        try:
            _check_beginning(file.read(len(_LEGACY_MARK)))
            with zipfile.ZipFile(file) as archive:
                return _read_archive(archive, file_bytes=copy.stat().st_size)
        except CheckpointError as error:
            raise CheckpointError(f"{path} {error}; {expected}") from None
        except _DAMAGE as error:
            raise CheckpointError(f"{path} is cut short or damaged; {expected}") from error


def write(path: str | os.PathLike, state: Mapping[str, np.ndarray]) -> None:
    """Writes `{"model": state}` as a file that `torch.load(path, weights_only=True)` reads.

    The file appears whole or not at all, and the same state gives the same bytes. Raises CheckpointError for a state
    that is empty, or whose entry has a name that is no string or a dtype that PyTorch's format does not have.
    """
    path = as_path(path)
    arrays = {name: np.asarray(value) for name, value in state.items()}
    if not arrays:
        raise CheckpointError(f"{path} was not written: the state dict is empty")
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path} was not written: the name {name!r} is not a string")
        if array.dtype not in STORAGE_NAMES:
            raise CheckpointError(f"{path} was not written: PyTorch's format has no dtype {array.dtype} as in {name!r}")
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in _members(arrays):
            member = zipfile.ZipInfo(f"archive/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            # An unused extra field, after 4 bytes of its own, moves the content to where torch can map it.
            start = file.tell() + _ZIP_LOCAL_HEADER_BYTES + len(member.filename) + 4
            padding = -start % _STORAGE_ALIGNMENT
            member.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
            archive.writestr(member, content)


def _check_beginning(beginning: bytes) -> None:
    if not beginning:
        raise CheckpointError("is empty")
    if beginning == _LEGACY_MARK:
        remedy = "re-save it with a current torch: `torch.save(torch.load(path, weights_only=True), path)`"
        raise CheckpointError(f"has PyTorch's format from before version 1.6, {remedy}")
    if not beginning.startswith(_ZIP_MARK):
        raise CheckpointError(f"begins with {beginning!r}, as no zip archive does")


def _read_archive(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, np.ndarray]:
    members, names = archive.infolist(), archive.namelist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise CheckpointError("holds compressed members, which torch.save never writes")
    # Members may lie over each other, so that a small file unfolds to a large one.
    if sum(member.file_size for member in members) > file_bytes:
        raise CheckpointError("holds members that claim more bytes than the file has")
    programs = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise CheckpointError(f"is a zip archive with {len(programs)} members FOLDER/data.pkl instead of one")
    folder = programs[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
        raise CheckpointError("was not written on a little-endian machine")
    tensors = _find_state_dict(interpret(archive.read(programs[0])))
    keys = {tensor.storage.key for tensor in tensors.values()}
    contents = {key: archive.read(f"{folder}data/{key}") for key in keys}
    return {name: _view(name, tensor, contents[tensor.storage.key], file_bytes) for name, tensor in tensors.items()}


def _find_state_dict(root: Any) -> dict[str, Tensor]:
    state, place = (root["model"], "entry 'model'") if isinstance(root, dict) and "model" in root else (root, "content")
    if not isinstance(state, dict):
        raise CheckpointError(f"has a value of type {kind(state)} as its {place} instead of a dict of tensors")
    if not state:
        raise CheckpointError(f"has no tensors in its {place}")
    for name, value in state.items():
        if not isinstance(name, str):
            raise CheckpointError(f"has a name of type {kind(name)} in its {place} instead of a string")
        if not isinstance(value, Tensor):
            raise CheckpointError(f"has a value of type {kind(value)} as {name[:80]!r} in its {place}, not a tensor")
    return state


def _view(name: str, tensor: Tensor, content: bytes, file_bytes: int) -> np.ndarray:
    (_, dtype, length), offset, shape, strides = tensor
    fits = len(shape) == len(strides) <= _MAX_AXES and all(
        isinstance(number, int) and number >= 0 for number in (length, offset, *shape, *strides)
    )
    if fits:  # in Python's integers, since NumPy's own check of the bounds can overflow
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        within = last < length if all(shape) else offset <= length
        fits = within and length * dtype.itemsize <= len(content) and math.prod(shape) * dtype.itemsize <= file_bytes
    if not fits:
        raise CheckpointError(f"describes the tensor {name[:80]!r} as other than a part of what is stored")
    byte_strides = [stride * dtype.itemsize for stride in strides]
    return np.ndarray(shape, dtype, content, offset * dtype.itemsize, byte_strides)


def _members(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, bytes]]:
    yield "data.pkl", describe(arrays)
    yield "byteorder", b"little"
    for key, array in enumerate(arrays.values()):
        yield f"data/{key}", array.tobytes()
    yield "version", b"3\n"
