# SPDX-License-Identifier: Apache-2.0
"""Records what published evaluators say of small masks and videos, for tests/test_j_and_f.py.

In: nothing. Out: j_and_f.npz beside this file: masks packed to bits, videos of object numbers, and their scores.
Run with `python tests/recorded/make_j_and_f.py` in an environment with vos-benchmark 0.1.0, of which the evaluator of
SA-V is made, and with DAVIS 2017's own toolkit, davis2017-evaluation.
"""

import pathlib
import tempfile

import cv2
import numpy as np
from davis2017.evaluation import DAVISEvaluation
from PIL import Image
from vos_benchmark.benchmark import benchmark
from vos_benchmark.evaluator import Evaluator

SIZES = {
    "small": (37, 53),
    "wide": (12, 200),
    "square": (128, 128),
    "pixel": (1, 1),
    "row": (1, 30),
    "480p": (480, 854),
}
LENGTHS = {"short": 3, "longer": 11, "longest": 30}
HEIGHT, WIDTH = 48, 80


def pairs(size, random):
    """Masks of a frame: noise and blobs, shifted and eaten away, one pixel, the whole frame, nothing."""
    height, width = size
    blobs = [cv2.GaussianBlur(random.random(size), (0, 0), max(2, height / 12)) > 0.5 for _ in range(3)]
    nothing, everything, pixel = np.zeros(size, bool), np.ones(size, bool), np.zeros(size, bool)
    pixel[height // 2, width // 3] = True
    found = [(blobs[0], np.roll(blobs[0], shift, (0, 1))) for shift in ((1, 2), (-3, 9))] + [(blobs[1], blobs[2])]
    if height < 400:
        found += [(random.random(size) > 0.5, random.random(size) > 0.9)]
        found += [(pixel, np.roll(pixel, 2, 1)), (pixel, pixel), (nothing, pixel), (pixel, nothing)]
        found += [(nothing, nothing), (everything, everything), (everything, nothing), (nothing, everything)]
        found += [(everything, blobs[0]), (blobs[0], blobs[0]), (everything, pixel), (~pixel, everything)]
        half = np.arange(width) < width // 2
        found += [(nothing | half, nothing | ~half), (nothing | half, nothing | half)]
    return np.stack([truth for truth, _ in found]), np.stack([prediction for _, prediction in found])


def score(truth, prediction):
    evaluator = Evaluator()
    evaluator.objects_in_gt.add(True)
    evaluator.feed_frame(prediction, truth)
    (j,), (f,) = (list(scores.values()) for scores in evaluator.conclude())
    return j / 100, f / 100


def video(length, random):
    """Object numbers (T, H, W) uint8, true and predicted.

    1 moves and is well tracked. 2 comes late and goes; it is predicted too early. 3 is there on the first frame alone.
    4 is missed. 7 is predicted alone. 255 is on the second frame of the truth.
    """
    truth, prediction = np.zeros((2, length, HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for t in range(length):
        disk = (y - 15) ** 2 + (x - 12 - 2 * t) ** 2 < 90
        truth[t][disk], prediction[t][np.roll(disk, random.integers(-3, 4, 2), (0, 1))] = 1, 1
        if length // 3 <= t < length - 2:
            truth[t, 30:40, 50:70] = 2
        if length // 3 - 1 <= t:
            prediction[t, 30 : 40 - t % 5, 51:70] = 2
        if t % 4 == 1:
            prediction[t, 5:9, 60:] = 7
        truth[t, 42:46, 3:9] = 4
    truth[0, 20:26, 60:66] = 3
    truth[1, 0:3, 0:5] = 255
    return truth, prediction


def write(folder, masks):
    folder.mkdir(parents=True)
    for index, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"{index:05d}.png")


def main():
    random = np.random.default_rng(0)
    arrays = {}
    for name, size in SIZES.items():
        truth, prediction = pairs(size, random)
        arrays |= {f"{name}_size": np.array(truth.shape), f"{name}_truth": np.packbits(truth)}
        arrays |= {f"{name}_prediction": np.packbits(prediction)}
        arrays[f"{name}_j_and_f"] = np.array([score(*pair) for pair in zip(truth, prediction)])
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, length in LENGTHS.items():
            truth, prediction = video(length, random)
            arrays |= {f"{name}_video_truth": truth, f"{name}_video_prediction": prediction}
            write(root / "truth" / name, truth)
            write(root / "prediction" / name, prediction)
            # An object in a folder is a video of its own.
            for number in np.unique(truth[1:-1])[1:]:
                write(root / "objects" / f"{name}_{number}", (truth == number).astype(np.uint8))
                write(root / "predicted_objects" / f"{name}_{number}", (prediction == number).astype(np.uint8))
            davis = np.where(np.isin(prediction, [1, 2, 3, 4]), prediction, 0).astype(np.uint8)
            davis[1, 0, 0] = 4  # the toolkit refuses fewer objects than the truth has
            arrays[f"{name}_video_davis_prediction"] = davis
            write(root / "davis" / "Annotations" / "480p" / name, truth)
            write(root / "davis" / "JPEGImages" / "480p" / name, truth)
            write(root / "davis_predictions" / name, davis)
        (root / "davis" / "ImageSets" / "2017").mkdir(parents=True)
        (root / "davis" / "ImageSets" / "2017" / "val.txt").write_text("\n".join(LENGTHS))
        for layout, true, predicted in (("", "truth", "prediction"), ("_objects", "objects", "predicted_objects")):
            for skip in (True, False):
                jf, j, f, (metrics,) = benchmark(
                    [str(root / true)], [str(root / predicted)], True, 1, verbose=False, skip_first_and_last=skip
                )
                key = f"sa_v{layout}{'' if skip else '_all_frames'}"
                arrays[key] = np.array([*jf, *j, *f])
                for name, (ious, boundary_fs) in metrics.items():
                    rows = [(number, ious[number], boundary_fs[number]) for number in sorted(ious)]
                    arrays[f"{key}_{name}"] = np.array(rows)
        results = DAVISEvaluation(str(root / "davis"), "semi-supervised", "val").evaluate(
            str(root / "davis_predictions")
        )
        arrays["davis2017"] = np.array([[results[metric][value] for value in "MRD"] for metric in "JF"])
        arrays["davis2017_objects"] = np.array(list(results["J"]["M_per_object"]))
    np.savez_compressed(pathlib.Path(__file__).with_name("j_and_f.npz"), **arrays)


if __name__ == "__main__":
    main()
