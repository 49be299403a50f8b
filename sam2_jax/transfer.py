# SPDX-License-Identifier: Apache-2.0
"""The only way that sessions take from a device to the host.

A device computes ahead of the host for as long as nobody asks it for a result, so every such question is asked here.
"""

from typing import TypeVar

import jax

Tree = TypeVar("Tree")


def start(tree: Tree) -> Tree:
    """Begins to copy arrays to the host once they are computed, and does not wait; returns them."""
    for leaf in jax.tree.leaves(tree):
        leaf.copy_to_host_async()
    return tree


def to_host(tree: Tree) -> Tree:
    """Arrays as NumPy's; waits for those that are not there yet."""
    return jax.device_get(tree)
