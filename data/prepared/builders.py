# SPDX-License-Identifier: Apache-2.0
"""TFDS builders of masklet data: any source, as ArrayRecord files of JPEG frames and run-length masks.

In: a source (`data.source`). Out: one record for each of its videos, in its order, in one schema for all data sets.
What is written is read with `tfds.builder_from_directory` alone, or as a source again by `data.prepared.records`;
TensorFlow is needed for neither. TFDS's own catalog has no SA-V, MOSE or YouTube-VOS. It has DAVIS and SA-1B, but in
schemas of which whole videos have to be decoded to get at a frame (DAVIS), or that only Apache Beam can write (SA-1B).
"""

import functools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_pb2

from data.prepared.schema import example, features
from data.source import BrokenExample, Source
from sam2_jax.media.paths import as_path

SPLITS = ("train", "validation", "test")


class PreparedVideos(tfds.core.ShardBasedBuilder, skip_registration=True):
    """A source's videos as a TFDS data set. `download_and_prepare` writes it shard after shard, or in Apache Beam.

    Video i is record i (where none is skipped) and stands in shard i // videos_per_shard, so that shards can be written
    anywhere, in any order, and are the same bytes.

    Attributes:
        source: what is stored.
        split: the name of the split that it makes.
        frames: which frames are stored, all or those with masks.
        skip_broken: whether broken videos are left out.
        videos_per_shard: how many of its videos go into one file.
        shards: how many files that makes.
    """

    name = "videos"
    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = "Videos with masks of their objects."
    HOMEPAGE = ""
    VIDEOS_PER_SHARD = 32
    TRAIN_FRAMES = "all"
    code_path = None  # where TFDS would look for the checksums of downloads, of which there are none

    def __init__(
        self,
        source: Source,
        split: str = "train",
        *,
        data_dir: str,
        name: str | None = None,
        frames: Literal["all", "annotated"] | None = None,
        videos_per_shard: int | None = None,
        skip_broken: bool = False,
    ):
        """Nothing is read or written yet.

        Args:
            source: what to store.
            split: what to call it; one data set may hold several, prepared one after another.
            data_dir: TFDS's own: the data set goes to data_dir/name/version.
            name: of the data set, for data of your own.
            frames: which frames are stored, all or those with masks. Without it all, but for the train split what is
                usual for the data set.
            videos_per_shard: the data set's usual number without it.
            skip_broken: leave broken videos out, instead of stopping at the first.

        Raises:
            ValueError: there is no video, or the split has another name than TFDS's.
        """
        if split not in SPLITS:
            raise ValueError(f"{split!r} is no split; expected one of {', '.join(SPLITS)}.")
        if not len(source):
            raise ValueError(f"The source {source.name} holds no video.")
        self.source, self.split, self.skip_broken = source, split, skip_broken
        self.frames = frames or (self.TRAIN_FRAMES if split == "train" else "all")
        self.videos_per_shard = videos_per_shard or self.VIDEOS_PER_SHARD
        self.shards = -(-len(source) // self.videos_per_shard)
        if name is not None:
            self.name = name
        super().__init__(data_dir=data_dir, file_format="array_record")

    def videos_of(self, shard: int) -> range:
        """The numbers of the videos that a shard holds."""
        first = shard * self.videos_per_shard
        return range(first, min(first + self.videos_per_shard, len(self.source)))

    def shard_path(self, shard: int) -> Path:
        """The ArrayRecord file of a shard."""
        template = self._get_filename_template(self.split)
        return as_path(template.sharded_filepath(shard_index=shard, num_shards=self.shards))

    def example(self, index: int) -> dict:
        """One video in the schema of `features`."""
        return example(self.source, index, self.frames == "annotated")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            homepage=self.HOMEPAGE,
            features=features(),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager) -> dict:
        annotated_only = self.frames == "annotated"
        # Apache Beam carries these to other machines: they hold the source, and not this builder.
        return {
            self.split: [
                functools.partial(_examples, self.source, self.videos_of(shard), annotated_only, self.skip_broken)
                for shard in range(self.shards)
            ]
        }

    def _example_writer(self) -> "_Writer":
        return _Writer(self.info.file_format)

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        super()._download_and_prepare(dl_manager, download_config)
        # With Beam, TFDS puts the shards' lengths in the order of their numbers as text: 0, 1, 10, 11, 2 ...
        lengths = [_records_in(path) for path in self.info.splits[self.split].filepaths]
        split = self.split_info(self.split, lengths, self.info.dataset_size)
        self.info.set_splits(tfds.core.splits.SplitDict([split]))

    def split_info(self, split: str, lengths: Sequence[int], size: int) -> tfds.core.SplitInfo:
        """What the metadata says of a split: the records in each of its shards, and the bytes of all their files."""
        return tfds.core.SplitInfo(
            name=split,
            shard_lengths=list(lengths),
            num_bytes=size,
            filename_template=self._get_filename_template(split),
        )

    def write_metadata(self, folder: str, splits: Sequence[tfds.core.SplitInfo]) -> None:
        """Writes features.json and dataset_info.json, which `tfds.builder_from_directory` reads, to a folder."""
        self.info.set_splits(tfds.core.splits.SplitDict(splits))
        self.info.write_to_directory(folder)


class SaV(PreparedVideos, skip_registration=True):
    name = "sa_v"
    DESCRIPTION = "SA-V (Ravi et al., 2024)."
    HOMEPAGE = "https://ai.meta.com/datasets/segment-anything-video/"
    VIDEOS_PER_SHARD = 16
    TRAIN_FRAMES = "annotated"


class Mose(PreparedVideos, skip_registration=True):
    name = "mose"
    DESCRIPTION = "MOSE (Ding et al., 2023): objects in crowded and occluded scenes."
    HOMEPAGE = "https://henghuiding.github.io/MOSE/"


class YoutubeVos(PreparedVideos, skip_registration=True):
    name = "youtube_vos"
    DESCRIPTION = "YouTube-VOS (Xu et al., 2018)."
    HOMEPAGE = "https://youtube-vos.org/"


class Davis(PreparedVideos, skip_registration=True):
    name = "davis"
    DESCRIPTION = "DAVIS 2017 (Pont-Tuset et al., 2017)."
    HOMEPAGE = "https://davischallenge.org/"
    VIDEOS_PER_SHARD = 8


class Sa1B(PreparedVideos, skip_registration=True):
    name = "sa_1b"
    DESCRIPTION = "SA-1B (Kirillov et al., 2023): pictures, as videos of one frame."
    HOMEPAGE = "https://ai.meta.com/datasets/segment-anything/"
    VIDEOS_PER_SHARD = 1024


BUILDERS = {builder.name: builder for builder in (SaV, Mose, YoutubeVos, Davis, Sa1B)}


def facts_path(shard_path: str | os.PathLike) -> Path:
    """Where the facts on a shard's videos are."""
    path = as_path(shard_path)
    return path.parent / "facts" / path.name


def write_records(path: str, records: Iterable[bytes]) -> None:
    """An ArrayRecord file. Each record can be read alone, and JPEG would not get smaller."""
    writer = array_record_module.ArrayRecordWriter(path, "group_size:1,uncompressed")
    try:
        for record in records:
            writer.write(record)
    finally:
        writer.close()


class _Writer(tfds.core.writer.ExampleWriter):
    """Writes what TFDS has serialized as `serialize` and `write_records` would have."""

    def write(self, path, examples) -> None:
        protos = (tf_example_pb2.Example.FromString(record) for _, record in examples)
        write_records(str(path), (proto.SerializeToString(deterministic=True) for proto in protos))


def _examples(source: Source, indices: range, annotated_only: bool, skip_broken: bool) -> Iterator:
    for index in indices:
        try:
            yield index, example(source, index, annotated_only)
        except BrokenExample as error:
            if not skip_broken:
                raise
            logging.warning("Video %d of %s is left out: %s", index, source.name, error)


def _records_in(path) -> int:
    reader = array_record_module.ArrayRecordReader(str(path))
    try:
        return reader.num_records()
    finally:
        reader.close()
