# SPDX-License-Identifier: Apache-2.0
"""The pickle inside a PyTorch `.pt` file, understood without running it.

In: the bytes of `data.pkl`. Out: dicts, lists, tuples and descriptions of tensors; and back, for a state dict.

A pickle is a program, and running a stranger's program is how a checkpoint attacks. Here it is never run: its
operations are read one by one, a few of them build plain values and descriptions of tensors, and every other one is
refused.
"""

import math
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from sam2_jax.checkpoints.error import CheckpointError

_STORAGE_DTYPES = {
    "torch.FloatStorage": np.dtype(np.float32),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch.HalfStorage": np.dtype(np.float16),
    "torch.DoubleStorage": np.dtype(np.float64),
    "torch.BoolStorage": np.dtype(np.bool_),
    "torch.ByteStorage": np.dtype(np.uint8),
    "torch.CharStorage": np.dtype(np.int8),
    "torch.ShortStorage": np.dtype(np.int16),
    "torch.IntStorage": np.dtype(np.int32),
    "torch.LongStorage": np.dtype(np.int64),
    "torch.ComplexFloatStorage": np.dtype(np.complex64),
    "torch.ComplexDoubleStorage": np.dtype(np.complex128),
}
STORAGE_NAMES = {dtype: name for name, dtype in _STORAGE_DTYPES.items()}
_ORDERED_DICT = "collections.OrderedDict"
_REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
_REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
_ALLOWED_GLOBALS = {_ORDERED_DICT, _REBUILD_TENSOR, _REBUILD_PARAMETER, *_STORAGE_DTYPES}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_OPERAND_COUNTS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "STACK_GLOBAL": 2}
_PROTOCOL = pickle.PROTO + b"\x02"  # the only one that torch.load(weights_only=True) takes


class _Global(NamedTuple):
    name: str


class Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class Tensor(NamedTuple):
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def kind(value: Any) -> str:
    """The name of a value's type, for an error."""
    return type(value).__name__.strip("_")


def interpret(program: bytes) -> Any:  # noqa: RET503, genops itself refuses a program without a STOP
    """Follows the operations of a pickle; whatever would import, call or change a Python object is refused."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    refusal = "so it was refused and nothing of it was run"

    def take(operation: str) -> list[Any]:
        start = len(stack) - _OPERAND_COUNTS[operation] if operation in _OPERAND_COUNTS else marks.pop()
        operands = stack[start:]
        del stack[start:]
        return operands

    for code, argument, _ in pickletools.genops(program):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case operation if operation in _LITERALS:
                stack.append(argument)
            case operation if operation in _CONSTANTS:
                stack.append(_CONSTANTS[operation])
            case operation if operation in _EMPTY:
                stack.append(_EMPTY[operation]())
            case "MARK":
                marks.append(len(stack))
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" as operation:
                stack.append(tuple(take(operation)))
            case "APPEND" | "APPENDS" as operation:
                items = take(operation)
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS" as operation:
                items = take(operation)
                _fill(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL" | "STACK_GLOBAL" as operation:
                name = argument.replace(" ", ".") if argument else ".".join(take(operation))
                if name not in _ALLOWED_GLOBALS:
                    raise CheckpointError(f"asks for the global {name[:80]!r}, {refusal}")
                stack.append(_Global(name))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_rebuild(function, arguments))
            case "BUILD" if isinstance(stack[-2], dict):
                stack.pop()  # attributes of an OrderedDict: the versions of modules, which no state dict needs
            case "STOP":
                return stack.pop()
            case operation:
                asked = f"{operation} {argument or ''}"[:80].strip()
                raise CheckpointError(f"asks for the pickle operation {asked!r}, {refusal}")


def _fill(target: Any, items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        # The hash of a deeply nested tuple would overflow the interpreter's own stack.
        if not isinstance(target, dict) or not isinstance(key, str | int):
            raise CheckpointError(f"puts a key of type {kind(key)} into a value of type {kind(target)}")
        target[key] = value


def _storage(identity: Any) -> Storage:
    match identity:
        case ("storage", _Global(name), str(key), _, int(length)) if name in _STORAGE_DTYPES:
            return Storage(key, _STORAGE_DTYPES[name], length)
    raise CheckpointError("describes a storage in an unknown way")


def _rebuild(function: Any, arguments: Any) -> dict | Tensor:
    match function, arguments:
        case _Global(name), () if name == _ORDERED_DICT:
            return {}
        case _Global(name), (Tensor() as tensor, *_) if name == _REBUILD_PARAMETER:
            return tensor
        case _Global(name), (Storage() as storage, offset, tuple(shape), tuple(strides), _, _, *flags) if (
            name == _REBUILD_TENSOR and not any(flags)  # a flag says that the numbers are to be negated or conjugated
        ):
            return Tensor(storage, offset, shape, strides)
    raise CheckpointError("describes a dict or a tensor in an unknown way")


def describe(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle of `{"model": OrderedDict}`, by hand, since Python's pickler names no function it cannot import."""

    def plain(value: str | int | tuple[int, ...]) -> bytes:
        return pickle.dumps(value, protocol=2).removeprefix(_PROTOCOL).removesuffix(pickle.STOP)

    def named(name: str) -> bytes:
        module, _, attribute = name.rpartition(".")
        return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()

    def together(*parts: bytes) -> bytes:
        return pickle.MARK + b"".join(parts) + pickle.TUPLE

    empty = named(_ORDERED_DICT) + pickle.EMPTY_TUPLE + pickle.REDUCE
    program = _PROTOCOL + pickle.EMPTY_DICT + plain("model") + empty + pickle.MARK
    for key, (name, array) in enumerate(arrays.items()):
        kind = named(STORAGE_NAMES[array.dtype])
        storage = together(plain("storage"), kind, plain(str(key)), plain("cpu"), plain(array.size)) + pickle.BINPERSID
        strides = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
        arguments = together(storage, plain(0), plain(array.shape), plain(strides), pickle.NEWFALSE, empty)
        program += plain(str(name)) + named(_REBUILD_TENSOR) + arguments + pickle.REDUCE
    return program + pickle.SETITEMS + pickle.SETITEM + pickle.STOP
