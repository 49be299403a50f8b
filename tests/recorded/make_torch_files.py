# SPDX-License-Identifier: Apache-2.0
"""Small files that PyTorch itself wrote, for the tests of `sam2_jax/checkpoints/torch_file.py`.

    python tests/recorded/make_torch_files.py tests/recorded

In: the folder to write to. Out: `torch_*.pt`. Needs torch (2.13 made the recorded ones); the tests do not.
"""

import collections
import sys
from pathlib import Path

import torch


def main(folder: Path) -> None:
    grid = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    views = collections.OrderedDict(
        grid=grid,
        transposed=grid.T,
        corner=grid[1:, 2:],
        every_other_column=grid[:, ::2],
        repeated=grid[0].expand(5, 4),
        parameter=torch.nn.Parameter(torch.tensor([0.5, -2.0])),
        scalar=torch.tensor(7),
        empty=torch.zeros(0, 3),
        brain_float=torch.tensor([1.0, -1.5, 3.140625], dtype=torch.bfloat16),
        half=torch.tensor([1.0, 65504.0], dtype=torch.float16),
        double=torch.tensor([1e300], dtype=torch.float64),
        flags=torch.tensor([True, False, True]),
        bytes=torch.tensor([0, 255], dtype=torch.uint8),
        small=torch.tensor([-128, 127], dtype=torch.int8),
        short=torch.tensor([-32768], dtype=torch.int16),
        integer=torch.tensor([-(2**31)], dtype=torch.int32),
        channels_last=torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
    )
    torch.save({"model": views}, folder / "torch_views.pt")

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape))
    torch.save(module.state_dict(), folder / "torch_bare.pt")  # an OrderedDict with attributes of its own
    torch.save(module.state_dict(), folder / "torch_legacy.pt", _use_new_zipfile_serialization=False)

    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    module(torch.ones(4, 2)).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape))
        module[1].running_mean.zero_()
        module[1].running_var.fill_(1)
        module[1].num_batches_tracked.zero_()
    training = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": [0.25, None]}
    torch.save(training, folder / "torch_training.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
