# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.convert_weights SRC DST`: weights from any known format to another.

In: what `sam2_jax.load` reads. Out: the published layout in a `.pt` file, or half its size in a `.safetensors` file,
where DST ends so; else an Orbax directory.
"""

from pathlib import Path

import tyro

from sam2_jax.media.paths import as_path
from scripts.command import console, run


def convert_weights(
    source: tyro.conf.Positional[Path],
    destination: tyro.conf.Positional[Path],
    image_size: int | None = None,
    overwrite: bool = False,
) -> None:
    """Converts weights between PyTorch's, transformers' and Orbax's formats.

    Args:
        source: A published .pt, a .safetensors file or folder, or an Orbax directory.
        destination: A .pt file, a .safetensors file (in bfloat16), or else a directory for Orbax.
        image_size: The input size that the new config is to say; the model's own without it.
        overwrite: Replace a file that is there.
    """
    source, destination = as_path(source), as_path(destination)
    if destination.exists() and not (overwrite and destination.is_file()):
        raise FileExistsError(f"{destination} exists already; give another name, or --overwrite for a file.")

    import sam2_jax
    from sam2_jax.checkpoints import one_file

    model, params = sam2_jax.load(source, image_size)
    if destination.suffix in (".pt", ".pth"):
        sam2_jax.export_torch(destination, model, params)
    elif destination.suffix == ".safetensors":
        one_file.write(destination, model, params)
    else:
        sam2_jax.save(destination, model, params)
    console.print(f"{model.config.name} is in {destination}")


if __name__ == "__main__":
    run(convert_weights)
