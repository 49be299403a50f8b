# SPDX-License-Identifier: Apache-2.0
"""The published PyTorch data set with its training transforms, on one thread, in a process of its own.

In: a folder of JPEGImages and Annotations, and for each line of standard input one clip to make. Out: lines as
`scripts.benchmarks.data.ClipMaker` reads them.
"""

import logging
import sys
import time


def _work(folder: str, frames: int, objects: int, image_size: int) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the package prints while it loads
    import torch
    from training.dataset import transforms
    from training.dataset.vos_dataset import VOSDataset
    from training.dataset.vos_raw_dataset import PNGRawDataset
    from training.dataset.vos_sampler import RandomUniformSampler
    from training.utils.data_utils import collate_fn

    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    chain = transforms.ComposeAPI(
        [
            transforms.RandomHorizontalFlip(consistent_transform=True),
            transforms.RandomAffine(degrees=25, shear=20, image_interpolation="bilinear", consistent_transform=True),
            transforms.RandomResizeAPI(sizes=image_size, square=True, consistent_transform=True),
            transforms.ColorJitter(True, brightness=0.1, contrast=0.03, saturation=0.03, hue=None),
            transforms.RandomGrayscale(p=0.05, consistent_transform=True),
            transforms.ColorJitter(False, brightness=0.1, contrast=0.05, saturation=0.05, hue=None),
            transforms.ToTensorAPI(),
            transforms.NormalizeAPI(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    raw = PNGRawDataset(f"{folder}/JPEGImages", f"{folder}/Annotations")
    clips = VOSDataset([chain], True, raw, RandomUniformSampler(frames, objects), multiplier=1)
    print("ready", file=answers, flush=True)
    for number, _ in enumerate(sys.stdin):
        begin = time.process_time()
        batch = collate_fn([clips[number % len(clips)]], dict_key="all")
        seconds = time.process_time() - begin
        print("done", seconds, batch.img_batch.nbytes + batch.masks.nbytes, file=answers, flush=True)


if __name__ == "__main__":
    _work(sys.argv[1], *map(int, sys.argv[2:]))
