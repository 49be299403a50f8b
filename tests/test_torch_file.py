# SPDX-License-Identifier: Apache-2.0
"""PyTorch's `.pt` files come in and go out bit by bit, and no file can do anything else than be read.

The files `tests/recorded/torch_*.pt` were written by PyTorch itself; the hostile ones are made here, by hand.
"""

import argparse
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from sam2_jax.checkpoints import torch_file
from sam2_jax.checkpoints.torch_file import CheckpointError

RECORDED = Path(__file__).parent / "recorded"
NUMPY_DTYPES = ["float32", "float16", "float64", "bool", "uint8", "int8", "int16", "int32", "int64", "complex64"]
DTYPES = [np.dtype(dtype) for dtype in (*NUMPY_DTYPES, ml_dtypes.bfloat16)]

STATE = {
    "image_encoder.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "image_encoder.bias": np.array([1, -1.5, 3.140625], dtype=ml_dtypes.bfloat16),
    "counts": np.array(7, dtype=np.int64),
    "nothing": np.zeros((0, 3), dtype=np.float16),
}

PROTOCOL = pickle.PROTO + b"\x02"
ORDERED_DICT = b"ccollections\nOrderedDict\n"
REBUILD_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
FLOAT_STORAGE = b"ctorch\nFloatStorage\n"


def assert_equal_bits(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        assert (found[name].dtype, found[name].shape) == (expected[name].dtype, expected[name].shape), name
        assert found[name].tobytes() == expected[name].tobytes(), name


def plain(value):
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(shape=(2,), strides=(1,), offset=0, length=2, key="0", storage_type=FLOAT_STORAGE, flags=b""):
    """The pickle operations of one tensor, as torch writes them, with any numbers in them."""
    storage = b"(" + plain("storage") + storage_type + plain(key) + plain("cpu") + plain(length) + b"tQ"
    layout = plain(offset) + plain(shape) + plain(strides)
    return REBUILD_TENSOR + b"(" + storage + layout + b"\x89" + ORDERED_DICT + b")R" + flags + b"tR"


def state_dict(*operations):
    """A whole pickle: {"model": {"weight": operations}}."""
    return PROTOCOL + b"}" + plain("model") + b"}" + plain("weight") + b"".join(operations) + b"ss."


def archive(path, program, **members):
    """A zip archive as torch's, with any pickle in it; its one storage holds the float32 numbers 1 and 2."""
    storage = np.array([1, 2], np.float32).tobytes()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in {"data.pkl": program, "data/0": storage, "version": b"3\n", **members}.items():
            file.writestr(f"archive/{name}", content)
    return path


def assert_refused(path, *words):
    """Reading fails with one sentence that names the file and holds the words."""
    with pytest.raises(CheckpointError) as caught:
        torch_file.read(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "expected a .pt file" in message and "\n" not in message
    for word in words:
        assert word in message.removeprefix(str(path))


# What PyTorch wrote, and what it reads


def test_every_kind_of_tensor_that_torch_saved_is_read_exactly():
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = {
        "grid": grid,
        "transposed": grid.T,
        "corner": grid[1:, 2:],
        "every_other_column": grid[:, ::2],
        "repeated": np.broadcast_to(grid[0], (5, 4)),
        "parameter": np.array([0.5, -2], np.float32),
        "scalar": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
        "brain_float": np.array([1, -1.5, 3.140625], ml_dtypes.bfloat16),
        "half": np.array([1, 65504], np.float16),
        "double": np.array([1e300]),
        "flags": np.array([True, False, True]),
        "bytes": np.array([0, 255], np.uint8),
        "small": np.array([-128, 127], np.int8),
        "short": np.array([-32768], np.int16),
        "integer": np.array([-(2**31)], np.int32),
        "channels_last": np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4),
    }
    found = torch_file.read(RECORDED / "torch_views.pt")
    assert_equal_bits(found, expected)
    assert all(np.shares_memory(found["grid"], found[name]) for name in ("transposed", "corner", "repeated"))


@pytest.mark.parametrize("name", ["torch_bare.pt", "torch_training.pt"])
def test_a_bare_state_dict_and_a_training_checkpoint_are_read_too(name):
    expected = {
        "0.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
        "0.bias": np.arange(3, dtype=np.float32),
        "1.weight": np.arange(3, dtype=np.float32),
        "1.bias": np.arange(3, dtype=np.float32),
        "1.running_mean": np.zeros(3, np.float32),
        "1.running_var": np.ones(3, np.float32),
        "1.num_batches_tracked": np.array(0),
    }
    assert_equal_bits(torch_file.read(RECORDED / name), expected)


def test_torch_reads_what_is_written_bit_by_bit(tmp_path):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    # Random bits hold NaNs and infinities as well; a bool has two values only.
    state = {str(dtype): np.frombuffer(random.bytes(12 * dtype.itemsize), dtype).reshape(3, 4).T for dtype in DTYPES}
    state["bool"] = random.random((4, 3)) < 0.5
    torch_file.write(tmp_path / "weights.pt", STATE | state)
    for memory_map in (False, True):
        loaded = torch.load(tmp_path / "weights.pt", weights_only=True, mmap=memory_map)
        assert list(loaded) == ["model"] and isinstance(loaded["model"], OrderedDict)
        assert list(loaded["model"]) == list(STATE | state)
        for name, value in (STATE | state).items():
            found = loaded["model"][name]
            assert found.shape == value.shape and str(found.dtype) == f"torch.{value.dtype}" and found.is_contiguous()
            bits = found.contiguous().view(torch.uint8) if found.ndim else found.reshape(1).view(torch.uint8)
            assert bits.numpy().tobytes() == value.tobytes()


# What is written is read


def test_a_written_state_dict_is_read_back_exactly(tmp_path):
    torch_file.write(tmp_path / "weights.pt", STATE)
    assert_equal_bits(torch_file.read(tmp_path / "weights.pt"), STATE)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_shape_and_dtype_returns_unchanged(tmp_path_factory, data):
    shape = data.draw(numpy_strategies.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    dtype = data.draw(st.sampled_from(DTYPES))
    name = data.draw(st.text(st.characters(exclude_categories=["Cs"])))
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    value = value.transpose(data.draw(st.permutations(range(value.ndim))))
    path = tmp_path_factory.mktemp("any") / "weights.pt"
    torch_file.write(path, {name: value})
    assert_equal_bits(torch_file.read(path), {name: value})


def test_names_of_numpys_string_type_become_plain_strings(tmp_path):
    torch_file.write(tmp_path / "weights.pt", {np.str_("weight"): np.zeros(2)})
    assert_equal_bits(torch_file.read(tmp_path / "weights.pt"), {"weight": np.zeros(2)})


def test_the_same_state_gives_the_same_bytes_in_every_file(tmp_path):
    torch_file.write(tmp_path / "one.pt", STATE)
    torch_file.write(tmp_path / "another.pt", STATE)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()


def test_storages_lie_where_torch_can_map_them_into_memory(tmp_path):
    torch_file.write(tmp_path / "weights.pt", STATE)
    content = (tmp_path / "weights.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "weights.pt") as file:
        for member in file.infolist():
            lengths = struct.unpack_from("<HH", content, member.header_offset + 26)
            assert (member.header_offset + 30 + sum(lengths)) % 64 == 0


@pytest.mark.parametrize("broken", ["zipfile.ZipFile.writestr", "os.replace"])
def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path, monkeypatch, broken):
    torch_file.write(tmp_path / "weights.pt", STATE)
    before = (tmp_path / "weights.pt").read_bytes()

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="the disk is full"):
        torch_file.write(tmp_path / "weights.pt", {"other": np.zeros(3)})
    assert os.listdir(tmp_path) == ["weights.pt"]
    assert (tmp_path / "weights.pt").read_bytes() == before


def test_a_file_may_be_replaced_by_what_was_read_from_it(tmp_path):
    torch_file.write(tmp_path / "weights.pt", STATE)
    torch_file.write(tmp_path / "weights.pt", torch_file.read(tmp_path / "weights.pt"))
    assert_equal_bits(torch_file.read(tmp_path / "weights.pt"), STATE)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({}, "empty"),
        ({3: np.zeros(2)}, "3"),
        ({"names": np.array(["a"])}, "'names'"),
        ({"objects": np.array([None])}, "'objects'"),
        ({"swapped": np.zeros(2, ">f4")}, "'swapped'"),
    ],
)
def test_a_state_that_torch_could_not_hold_is_not_written(tmp_path, state, word):
    with pytest.raises(CheckpointError, match=word):
        torch_file.write(tmp_path / "weights.pt", state)
    assert not os.listdir(tmp_path)


# What is refused


class Attack:
    """Pickles as a call of the function; unpickled, it would call it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def attack_os_system(sentinel):
    return Attack(os.system, f"touch {sentinel}"), "posix.system" if os.name == "posix" else "nt.system"


def attack_eval(sentinel):
    return Attack(eval, f"open({str(sentinel)!r}, 'w')"), "eval"


def attack_exec(sentinel):
    return Attack(exec, f"open({str(sentinel)!r}, 'w')"), "exec"


def attack_open(sentinel):
    return Attack(open, str(sentinel), "w"), "io.open"


def attack_mkdir(sentinel):
    return Attack(os.mkdir, str(sentinel)), "mkdir"


def attack_through_getattr(sentinel):
    return Attack(getattr, sentinel, "touch"), "getattr"


def harmless_namespace(_):
    return argparse.Namespace(learning_rate=0.1), "argparse.Namespace"


def harmless_set(_):
    return Attack(set, [1]), "set"


ATTACKS = [attack_os_system, attack_eval, attack_exec, attack_open, attack_mkdir]
OTHERS = [attack_through_getattr, harmless_namespace, harmless_set]
PLACES = {
    "alone": lambda evil: evil,
    "in the state dict": lambda evil: {"model": OrderedDict(weight=evil)},
    "beside the state dict": lambda evil: {"model": OrderedDict(), "arguments": evil},
    "deep in a list": lambda evil: {"model": {"weight": [[({"x": (1, evil)},)]]}},
    "as the state of an ordered dict": lambda evil: ordered_dict_with_attribute(evil),
}


def ordered_dict_with_attribute(value):
    result = OrderedDict()
    result.attribute = value
    return result


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("attack", ATTACKS + OTHERS)
def test_a_file_with_any_other_global_is_refused_and_runs_nothing(tmp_path, attack, place, protocol):
    evil, name = attack(tmp_path / "sentinel")
    program = pickle.dumps(PLACES[place](evil), protocol)
    assert_refused(archive(tmp_path / "evil.pt", program), name, "nothing of it was run")
    assert not (tmp_path / "sentinel").exists()
    if attack in ATTACKS:  # the attack is a real one
        pickle.loads(program)
        assert (tmp_path / "sentinel").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_protocol_runs_anything(tmp_path, protocol):
    evil, _ = attack_open(tmp_path / "sentinel")
    assert_refused(archive(tmp_path / "evil.pt", pickle.dumps(evil, protocol)))
    assert not (tmp_path / "sentinel").exists()


FORGED_OPERATIONS = {
    "state for a function": (REBUILD_TENSOR + b"}" + plain("polluted") + plain(1) + b"sb", "BUILD"),
    "slots of a function": (REBUILD_TENSOR + b"N}" + plain("__defaults__") + plain((1,)) + b"s\x86b", "BUILD"),
    "state for a storage type": (FLOAT_STORAGE + b"}b", "BUILD"),
    "a new object": (ORDERED_DICT + b")\x81", "NEWOBJ"),
    "a new object with keywords": (ORDERED_DICT + b")}\x92", "NEWOBJ_EX"),
    "an instance by name": (b"(" + plain("true") + b"ios\nsystem\n", "os system"),
    "an instance by class": (b"(" + ORDERED_DICT + b"o", "OBJ"),
    "an extension": (b"\x82\x01", "EXT1"),
    "a persistent name": (b"P../../secret\n", "PERSID"),
    "an ordered dict with items": (ORDERED_DICT + plain(((("a", 1),),)) + b"R", "unknown way"),
    "a call of a string": (plain("torch._utils._rebuild_tensor_v2") + b")R", "unknown way"),
    "a call of a storage type": (FLOAT_STORAGE + plain((10**9,)) + b"R", "unknown way"),
    "a tensor of no storage": (REBUILD_TENSOR + plain((1, 2, 3, 4, 5, 6)) + b"R", "unknown way"),
    "a parameter of no tensor": (b"ctorch._utils\n_rebuild_parameter\n" + plain((1, True, 2)) + b"R", "unknown way"),
    "a storage of another kind": (plain(("module", "x", "0", "cpu", 2)) + b"Q", "unknown way"),
    "a storage type that is no type": (tensor(storage_type=ORDERED_DICT), "unknown way"),
    "a dotted path through a module": (b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n", "__globals__"),
    "a tensor that is negated when read": (tensor(flags=b"}" + plain("neg") + b"\x88s"), "unknown way"),
    "a tuple as a key": (b"})" + plain(1) + b"s", "tuple"),
    "an item of a list": (b"]" + plain(0) + plain(1) + b"s", "list"),
}


@pytest.mark.parametrize("forgery", FORGED_OPERATIONS)
def test_no_operation_reaches_past_dicts_lists_and_tensors(tmp_path, forgery):
    operations, word = FORGED_OPERATIONS[forgery]
    assert_refused(archive(tmp_path / "forged.pt", state_dict(operations)), word)


FORGED_SIZES = {
    "more than is stored": dict(shape=(3,)),
    "an offset past the end": dict(offset=1),
    "a negative offset": dict(offset=-1),
    "a negative size": dict(shape=(-1,)),
    "a negative stride": dict(strides=(-1,), offset=1),
    "strides past the end": dict(strides=(2,)),
    "fewer strides than sizes": dict(shape=(1, 1)),
    "sizes whose product overflows": dict(shape=(2**32, 2**32), strides=(0, 0)),
    "sizes whose product is zero in 64 bits": dict(shape=(2**32, 2**32, 2), strides=(0, 0, 0)),
    "strides whose sum is zero in 64 bits": dict(shape=(5,), strides=(2**60,)),
    "sizes beyond 64 bits": dict(shape=(2**70,), strides=(0,)),
    "a small storage spread over memory": dict(shape=(2**40,), strides=(0,)),
    "more axes than an array has": dict(shape=(1,) * 65, strides=(1,) * 65),
    "a very long product": dict(shape=(2**60,) * 100_000, strides=(0,) * 100_000),
    "a storage larger than its member": dict(shape=(3,), length=3),
    "a storage of negative length": dict(shape=(0,), length=-2),
    "a size that is no number": dict(shape=("2",)),
    "an offset that is no number": dict(offset=0.5),
    "an empty tensor past the end": dict(shape=(0,), offset=3),
}


@pytest.mark.parametrize("forgery", FORGED_SIZES)
def test_no_tensor_reaches_past_its_storage(tmp_path, forgery):
    program = state_dict(tensor(**FORGED_SIZES[forgery]))
    assert_refused(archive(tmp_path / "forged.pt", program), "'weight'")


def test_a_tensor_made_by_hand_in_its_bounds_is_read(tmp_path):
    path = archive(tmp_path / "made.pt", state_dict(tensor(shape=(2, 1), strides=(1, 7), flags=b"}")))
    assert_equal_bits(torch_file.read(path), {"weight": np.array([[1], [2]], np.float32)})


@pytest.mark.parametrize("key", ["1", "../version", "/etc/passwd", "../../secret"])
def test_only_the_storages_of_the_archive_itself_are_read(tmp_path, key):
    (tmp_path / "secret").write_bytes(bytes(8))
    path = archive(tmp_path / "forged.pt", state_dict(tensor(key=key)))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("elsewhere/data/1", bytes(8))
        file.writestr("../../secret", bytes(8))
    assert_refused(path)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(PROTOCOL + b"(" * 200_000 + b"t" * 200_000 + b".", id="tuples in tuples"),
        pytest.param(PROTOCOL + b"]" * 200_000 + b"a" * 199_999 + b".", id="lists in lists"),
        pytest.param(PROTOCOL + b"})" + b"\x85" * 200_000 + b"Ns.", id="a deep tuple as a key"),
        pytest.param(PROTOCOL + b"]" + b"q\x00(" + b"h\x00" * 9 + b"e" * 1 + b".", id="a list that holds itself"),
        pytest.param(PROTOCOL + b"Nr\xff\xff\xff\xff.", id="a memo of four billion entries"),
        pytest.param(PROTOCOL + b"X\xff\xff\xff\xff.", id="a string of four billion letters"),
        pytest.param(PROTOCOL + b"\x8b\xff\xff\xff\x7f.", id="a number of two billion bytes"),
    ],
)
def test_a_pickle_made_to_exhaust_the_machine_is_refused(tmp_path, program):
    assert_refused(archive(tmp_path / "bomb.pt", program))


def test_compressed_members_are_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", state_dict(tensor()))
        file.writestr("archive/data/0", bytes(10_000_000))
    assert_refused(path, "compressed")


def test_members_that_lie_over_each_other_are_refused(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", state_dict(tensor(key="0")))
        file.writestr("archive/data/0", bytes(10_000))
        file.filelist += [file.getinfo("archive/data/0")] * 20
    assert_refused(path, "more bytes than the file has")


def test_a_file_of_the_other_byte_order_is_refused(tmp_path):
    assert_refused(archive(tmp_path / "big.pt", state_dict(tensor()), byteorder=b"big"), "little-endian")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], ["list", "dict of tensors"]),
        ({}, ["no tensors"]),
        ({"model": {}}, ["no tensors", "'model'"]),
        ({"model": None}, ["NoneType", "'model'"]),
        ({"model": [1, 2]}, ["list", "'model'"]),
        ({"model": {"weight": 3}}, ["'weight'", "int"]),
        ({"epoch": 3}, ["'epoch'", "int"]),
        ({"model": {3: 4}}, ["name of type int"]),
        ({"model": {"weight": {"nested": 1}}}, ["'weight'", "dict"]),
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_says_what(tmp_path, content, words):
    assert_refused(archive(tmp_path / "other.pt", pickle.dumps(content, protocol=2)), *words)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x93NUMPY"])
def test_a_file_of_another_format_is_refused_and_its_beginning_shown(tmp_path, content):
    (tmp_path / "other.pt").write_bytes(content)
    assert_refused(tmp_path / "other.pt", repr(content[:6])[:-1])


def test_an_empty_file_a_folder_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "empty.pt").touch()
    assert_refused(tmp_path / "empty.pt", "is empty")
    assert_refused(tmp_path, "folder")
    with pytest.raises(FileNotFoundError, match=r"missing\.pt does not exist; expected"):
        torch_file.read(tmp_path / "missing.pt")


def test_a_zip_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as file:
        file.writestr("pictures/one.txt", b"")
    assert_refused(tmp_path / "pictures.zip", "data.pkl")


def test_the_old_format_is_refused_with_its_remedy():
    assert_refused(RECORDED / "torch_legacy.pt", "torch.save(torch.load(path, weights_only=True), path)")


@pytest.mark.parametrize("name", ["written", "recorded"])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, name):
    path = tmp_path / "cut.pt"
    torch_file.write(path, STATE)
    content = path.read_bytes() if name == "written" else (RECORDED / "torch_views.pt").read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert_refused(path)


def test_a_file_with_one_wrong_byte_is_refused_or_read_exactly(tmp_path):
    """Exactly, because some bytes, like the padding, say nothing about the weights."""
    path = tmp_path / "damaged.pt"
    torch_file.write(path, STATE)
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            found = torch_file.read(path)
        except CheckpointError:
            continue
        assert_equal_bits(found, STATE)


def test_any_wrong_byte_in_the_pickle_is_survived(tmp_path):
    """The archive itself is whole here, so that its checksums do not notice."""
    program = state_dict(tensor())
    for position in range(len(program)):
        for byte in range(0, 256, 17):
            changed = program[:position] + bytes([byte]) + program[position + 1 :]
            try:
                found = torch_file.read(archive(tmp_path / "damaged.pt", changed))
            except CheckpointError:
                continue
            assert all(value.size <= 2 for value in found.values())


def test_reading_and_writing_need_no_torch(tmp_path):
    program = """
import sys
sys.modules["torch"] = None  # makes its import fail
from sam2_jax.checkpoints import torch_file
torch_file.write(sys.argv[2], torch_file.read(sys.argv[1]))
"""
    arguments = [sys.executable, "-c", program, RECORDED / "torch_views.pt", tmp_path / "copy.pt"]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parents[1])
    assert_equal_bits(torch_file.read(tmp_path / "copy.pt"), torch_file.read(RECORDED / "torch_views.pt"))
