# SPDX-License-Identifier: Apache-2.0
"""Counts what must not happen too often: compilations, and calls of a function."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that grows with each program that is compiled, of whatever function, or read from a cache on disk."""
    compiled = []

    def note(event: str, *_, **__) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def calls_of(monkeypatch, module, name: str) -> list[tuple]:
    """A list that grows with the arguments of each call of a module's function."""
    calls, original = [], getattr(module, name)

    def counted(*arguments, **more):
        calls.append(arguments)
        return original(*arguments, **more)

    monkeypatch.setattr(module, name, counted)
    return calls
