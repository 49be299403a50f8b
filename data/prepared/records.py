# SPDX-License-Identifier: Apache-2.0
"""A source that reads TFDS data sets in ArrayRecord: those of `data.prepared.builders`, and TFDS's own DAVIS and SA-1B.

In: the folder of a data set, the one with its dataset_info.json. Out: a `Source`. A frame is decoded when it is asked
for, an area counted on the run lengths, and facts on a prepared video are read without its pictures.
"""

import dataclasses
import functools
import operator
import os
from collections.abc import Callable, Mapping, Sequence

import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from tensorflow_datasets.core.example_parser import ExampleParserNp

from data.formats.reading import naming
from data.formats.video_list import OpenVideo, VideoList
from data.prepared.builders import facts_path
from data.prepared.schema import open_prepared, video_of
from data.prepared.tfds_catalog import open_davis, open_segment_anything
from data.source import BrokenExample, Video
from sam2_jax.media.paths import as_path

# The records that threads are at stay in memory; those of long videos are some tens of megabytes each.
_KEPT = 32
_OF_TFDS = {"davis": open_davis, "segment_anything": open_segment_anything}


class Records(VideoList):
    """The videos of one split, in the order of their records. It can be used from any thread, and be pickled."""

    def __init__(self, directory: str | os.PathLike, split: str | None = None):
        """Opens a data set; no record is read yet.

        Args:
            directory: the folder with the dataset_info.json, here or in a bucket.
            split: one of its splits, or a part of one as TFDS writes it: "train[:10%]". Can be left out where there is
                only one.

        Raises:
            ValueError: there is no data set, or it is in an unknown schema or no ArrayRecord files, or has no such
                split, or several, of which none is named.
        """
        directory = as_path(directory)
        self._arguments = os.fspath(directory), split
        if not (directory / "dataset_info.json").is_file():
            raise ValueError(f"{directory} holds no dataset_info.json: it is no TFDS data set, or not all written yet.")
        info = tfds.builder_from_directory(directory).info
        if info.file_format.value != "array_record":
            raise ValueError(f"{directory} is stored as {info.file_format.value}; prepare it as array_record.")
        shards = _shards(info, directory, split)
        records = _Reader(shards, info.features)
        open_video = functools.partial(_open, records, _reader_of(info, directory))
        super().__init__(info.name, range(len(records.source)), open_video, _KEPT)
        facts = [dataclasses.replace(shard, filename=str(facts_path(shard.filename))) for shard in shards]
        # Only `data.prepared.shards` writes them: not TFDS.
        there = {path.name for path in (directory / "facts").glob("*")}
        whole = all(os.path.basename(one.filename) in there for one in facts)
        self._facts = _Reader(facts, info.features) if whole else None

    def __reduce__(self):
        return Records, self._arguments

    def video_name(self, index: int) -> str:
        return self.video(index).name  # only its record has it

    def video(self, index: int) -> Video:
        if self._facts is None or not 0 <= operator.index(index) < len(self):
            return super().video(index)
        return video_of(self._facts.read(index))


class _Reader:
    """Records as nested dicts, with pictures as the bytes of their files."""

    def __init__(self, shards: Sequence, features: tfds.features.FeaturesDict):
        self.source, self._parser = ArrayRecordDataSource(shards), ExampleParserNp(features.get_serialized_info())
        self.directory = os.path.dirname(shards[0].filename)

    def read(self, index: int) -> Mapping:
        try:
            return self._parser.parse_example(self.source[index])
        except (RuntimeError, OSError) as error:  # a file is missing, or ArrayRecord's checksums are wrong
            raise BrokenExample(f"Record {index} in {self.directory} cannot be read: {error}.") from error


def _open(records: _Reader, read: Callable[[Mapping], OpenVideo], index: int) -> OpenVideo:
    record = records.read(index)
    with naming(f"Record {index} in {records.directory}"):
        return read(record)


def _reader_of(info: tfds.core.DatasetInfo, directory: str) -> Callable[[Mapping], OpenVideo]:
    """What makes a video of a record in the data set's schema."""
    if {"frame_numbers", "annotations"} <= set(info.features):
        return open_prepared
    if info.name in _OF_TFDS:
        return _OF_TFDS[info.name]
    raise ValueError(
        f"{directory} is a TFDS data set, {info.name}, in a schema that is not known: expected what prepare_dataset "
        f"writes, or TFDS's own {' or '.join(_OF_TFDS)}."
    )


def _shards(info: tfds.core.DatasetInfo, directory: str, split: str | None) -> Sequence:
    splits = list(info.splits)
    if split is None and len(splits) > 1:
        raise ValueError(f"{directory} has the splits {', '.join(splits)}: name one of them.")
    try:
        shards = info.splits[split or splits[0]].file_instructions
    except (LookupError, ValueError) as error:
        raise ValueError(f"{directory} has no split {split!r}, but {', '.join(splits)}.") from error
    if not shards:
        raise ValueError(f"{split} of {directory} is empty.")
    return shards
