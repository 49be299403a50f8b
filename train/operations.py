# SPDX-License-Identifier: Apache-2.0
"""How many operations a traced program takes: those of its matrix products and convolutions.

In: a jaxpr, which is the program as it was written, before a compiler. Out: a number. The compiler's own count takes
each loop for one round of it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any


def operations(jaxpr: Any, taken: Mapping[tuple[int, ...], float], loops: tuple[int, ...] = ()) -> float:
    """The operations of a jaxpr, on all devices together; a multiplication and an addition are two.

    Args:
        taken: of loops in each other, by how often they run: the share of the innermost one's rounds that take the
            dearest way, where ways part in it. All do in other loops.
        loops: how often those run that this is in, the innermost last.
    """
    return sum(_operations(equation, taken, loops) for equation in jaxpr.eqns)


def _operations(equation: Any, taken: Mapping[tuple[int, ...], float], loops: tuple[int, ...]) -> float:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return 2 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, out_axis = equation.invars[1].aval, parameters["dimension_numbers"].rhs_spec[0]
        products = 2 * equation.outvars[0].aval.size * kernel.size // kernel.shape[out_axis]
        # The zeros that a transposed convolution puts between its inputs are not multiplied.
        return products / math.prod(parameters["lhs_dilation"])
    if name == "scan":
        length = parameters["length"]
        return length * operations(parameters["jaxpr"].jaxpr, taken, (*loops, length))
    if name == "cond":
        ways = [operations(branch.jaxpr, taken) for branch in parameters["branches"]]
        return min(ways) + share_taken(taken, loops) * (max(ways) - min(ways))
    times = 1
    if name == "pallas_call":
        times = math.prod(parameters["grid_mapping"].grid)
    if name == "shard_map":
        times = parameters["mesh"].size
    return times * sum(operations(inner, taken, loops) for inner in _inner(parameters))


def share_taken(taken: Mapping[tuple[int, ...], float], loops: tuple[int, ...]) -> float:
    """How often the dearest way is taken where ways part, inside such loops."""
    return next((share for nest, share in taken.items() if loops[-len(nest) :] == nest), 1.0)


def _inner(parameters: dict) -> Iterator[Any]:
    for value in parameters.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if hasattr(one, "eqns"):
                yield one
            elif hasattr(one, "jaxpr") and hasattr(one.jaxpr, "eqns"):
                yield one.jaxpr
