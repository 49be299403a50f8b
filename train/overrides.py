# SPDX-License-Identifier: Apache-2.0
"""Fields of a config set from the command line: ``--set optimizer.learning_rate=1e-4``.

In: a frozen dataclass, which may hold others and tuples of them, and texts ``name=value``. Out: a copy with those
fields changed. A text is read as the type that the field has; none is run as Python.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Sequence


def with_overrides(config, texts: Sequence[str]):
    """The config with fields changed, in order.

    Args:
        texts: ``a.b=value`` each; ``a.0.b=value`` reaches into a tuple of configs. ``none`` is None, tuples are written
            ``1,2`` or ``(1, 2)``, and strings as they are.

    Raises:
        ValueError: there is no such field, the value is not of its type, or the config it is in refuses it.
    """
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ValueError(f"--set takes NAME=VALUE, such as steps=100, but {text!r} came.")
        config = _set(config, name.strip().split("."), 0, value.strip())
    return config


def _set(config, path: list[str], depth: int, text: str):
    whole = ".".join(path)
    name, last = path[depth], depth == len(path) - 1
    if isinstance(config, tuple):
        if not name.isdecimal() or int(name) >= len(config):
            raise ValueError(f"{whole!r} does not exist: {'.'.join(path[:depth])} has {len(config)} entries, from 0.")
        if last:
            raise ValueError(f"{whole!r} cannot be set as a whole; set a field of it.")
        changed = _set(config[int(name)], path, depth + 1, text)
        return (*config[: int(name)], changed, *config[int(name) + 1 :])
    if not dataclasses.is_dataclass(config):
        raise ValueError(f"{whole!r} does not exist: {'.'.join(path[:depth])} is {config!r}, which has no fields.")
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        near = difflib.get_close_matches(name, hints, n=1, cutoff=0)[0]
        nearest = ".".join([*path[:depth], near])
        raise ValueError(f"The config has no field {whole!r}; the nearest is {nearest!r}.")
    now = getattr(config, name)
    value = _parse(text, hints[name], whole, now) if last else _set(now, path, depth + 1, text)
    return dataclasses.replace(config, **{name: value})


def _parse(text: str, hint, name: str, now):
    """The value that a text says, of the type of the hint."""
    for kind in _alternatives(hint):
        try:
            return _read(text, kind)
        except ValueError:
            continue
    if any(dataclasses.is_dataclass(kind) for kind in _parts(hint)):
        raise ValueError(f"{name!r} cannot be set as a whole; set a field of it, such as {name}.{_example(now)}=...")
    raise ValueError(f"{name} is {_name(hint)}, now {now!r}, but {text!r} came.")


def _read(text: str, kind):
    """The value that a text says, of one type; raises `ValueError` where it says none."""
    if kind in (int, float, str):
        return kind(text)
    if typing.get_origin(kind) is tuple:
        return _read_tuple(text, typing.get_args(kind))
    words = {bool: {"true": True, "false": False}, types.NoneType: {"none": None, "null": None}}.get(kind, {})
    if typing.get_origin(kind) is typing.Literal:
        words = {word: word for word in typing.get_args(kind)}
    if text.lower() not in words:
        raise ValueError
    return words[text.lower()]


def _read_tuple(text: str, kinds: tuple) -> tuple:
    inside = text.strip()
    if inside[:1] in ("(", "[") and inside[-1:] in (")", "]"):
        inside = inside[1:-1]
    parts = [part.strip() for part in inside.split(",")]
    if parts[-1] == "":
        parts.pop()
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(parts)
    if len(kinds) != len(parts):
        raise ValueError
    return tuple(_read(part.strip("'\""), kind) for part, kind in zip(parts, kinds))


def _alternatives(hint) -> tuple:
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return (hint,)
    # None is tried first, and text, which takes anything, last.
    return tuple(sorted(typing.get_args(hint), key=lambda kind: (kind is str, kind is not types.NoneType)))


def _parts(hint) -> tuple:
    return tuple(part for kind in _alternatives(hint) for part in (kind, *typing.get_args(kind)))


def _example(value) -> str:
    if isinstance(value, tuple):
        return "0." + _example(value[0]) if value else "0"
    return dataclasses.fields(value)[0].name if dataclasses.is_dataclass(value) else "FIELD"


def _name(hint) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "none"}
    return " or ".join(names.get(kind, str(kind).replace("typing.", "")) for kind in _alternatives(hint))
