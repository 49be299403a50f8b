# SPDX-License-Identifier: Apache-2.0
"""How fast a model is (section D.3): frames of a video at batch 1, pictures at batch 10.

In: weights. Out: a table with the paper's numbers beside ours, or JSON.
"""

import json as json_format
from typing import Any

from rich.table import Table

from sam2_jax.evaluation.published import published
from scripts.command import NANO, Dtype, Weights, console

_PICTURES = 10


def speed(
    weights: Weights = NANO,
    image_size: int | None = None,
    dtype: Dtype = "bfloat16",
    runs: int = 10,
    json: bool = False,
) -> dict[str, Any]:
    """Times a frame of a video with its memory full, one object and batch 1; and ten pictures with a click on each.

    Args:
        weights: nano, which comes along, or a published .pt, a .safetensors file or folder, an Orbax directory.
        image_size: The side that frames are resized to, a multiple of 32; the model's own without it.
        dtype: The type to compute in; the paper has bfloat16.
        runs: How often each is timed; the median counts.
        json: Print the numbers as JSON.
    """
    import jax  # not at the top: the workers that score files import this module too, and need no jax
    import jax.numpy as jnp

    import sam2_jax
    from sam2_jax.predictors.prompts import prepare_prompts
    from sam2_jax.segmentation import encode_frames, segment_image
    from sam2_jax.tracking import track_frame
    from scripts.benchmarks.timing import in_turn, threads

    model, params = sam2_jax.load(weights, image_size, dtype)
    params = jax.device_put(params)
    size = model.config.image_size
    prompts, _ = prepare_prompts([[size / 2, size / 2]], [1], None, None, (size, size), size)
    prompts = jax.tree.map(lambda x: jnp.repeat(x, _PICTURES, axis=0), prompts)
    frames = jnp.zeros((_PICTURES, size, size, 3), jnp.uint8)
    functions = {"pictures/s": lambda: jax.block_until_ready(segment_image(model, params, frames, prompts, True))}
    if model.config.has_memory:
        memory = _full_memory(model)
        functions["video frames/s"] = lambda: jax.block_until_ready(
            track_frame(model, params, memory, encode_frames(model, params, frames[:1]), 100)
        )
    seconds = in_turn(functions, runs)
    counts = {"pictures/s": _PICTURES, "video frames/s": 1}
    told = {
        "model": model.config.name,
        "image size": size,
        "dtype": model.config.dtype,
        "device": jax.devices()[0].device_kind,
        "threads": threads(),
        **{name: counts[name] / time for name, time in seconds.items()},
    }
    if json:
        print(json_format.dumps(told, indent=2))
        return told
    table = Table("", "per second", "where", title=f"{told['model']}, {size} x {size}, {model.config.dtype}")
    for name in seconds:
        table.add_row(name, f"{told[name]:.2f}", told["device"])
    for row in published("speed"):
        table.add_row(f"{row.metric}, the paper's {row.model}", f"{row.value:g}", f"{row.data}, {row.where}")
    console.print(table)
    return told


def _full_memory(model):
    """A bank of one object with a prompted frame and every recent one."""
    import jax.numpy as jnp

    from sam2_jax.memory_bank import empty_memory, write

    memory = empty_memory(model.config)
    one, maps, pointer = jnp.ones((1, 1), bool), memory.recent_maps[:, :, 0], memory.recent_pointers[:, :, 0]
    memory = write(model.config, memory, 0, maps, pointer, prompted=one)
    for frame in range(100 - model.config.object_pointers * model.config.memory_stride, 100):
        memory = write(model.config, memory, frame, maps, pointer, prompted=~one)
    return memory
