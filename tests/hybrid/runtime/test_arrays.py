"""Files of arrays that are too large or broken end in one line, before anything large is read."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from hybrid.errors import BadInputError
from hybrid.runtime.arrays import LIMIT, read_arrays


def _header(shape):
    """What begins a .npy file of bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|i1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _refusal(path):
    """The error of a file, found in less than 4 MB of memory."""
    tracemalloc.start()
    try:
        with pytest.raises(BadInputError) as error:
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert error.value.where == str(path)
    assert "\n" not in error.value.what
    return error.value


def test_a_file_of_a_few_bytes_that_declares_gigabytes_is_refused_unread(tmp_path):
    path, shape = tmp_path / "bomb.npz", (3, 2**30)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("s.npy", _header(shape))
    size = (len(_header(shape))).to_bytes(4, "little")
    whole = path.read_bytes()
    assert whole.count(size) == 2  # in the member's own header and in the directory
    path.write_bytes(whole.replace(size, (3 * 2**30 + len(_header(shape))).to_bytes(4, "little")))
    error = _refusal(path)
    assert error.what == f"its arrays take {3 * 2**30:,} bytes, and {LIMIT:,} is the limit"
    assert "several files" in error.fix


@pytest.mark.parametrize("count", [1, 3])
def test_what_unpacks_to_more_than_the_limit_in_all_is_refused_and_one_byte_less_is_read(tmp_path, monkeypatch, count):
    size = 12 * 2**20
    np.savez_compressed(tmp_path / "a.npz", **{f"a{i}": np.zeros(size // count, np.int8) for i in range(count)})
    assert (tmp_path / "a.npz").stat().st_size < 2**15
    monkeypatch.setattr("hybrid.runtime.arrays.LIMIT", size - 1)
    assert f"{size:,} bytes" in _refusal(tmp_path / "a.npz").what
    monkeypatch.setattr("hybrid.runtime.arrays.LIMIT", size)
    assert sum(x.size for x in read_arrays(tmp_path / "a.npz").values()) == size


def test_a_safetensors_file_above_the_limit_or_with_a_header_that_declares_more_is_refused(tmp_path, monkeypatch):
    save_file({"s": np.zeros(12 * 2**20, np.int8)}, tmp_path / "large")
    whole = save({"s": np.zeros(8, np.int8)})
    (tmp_path / "lies").write_bytes(whole.replace(b"[8]", b"[9]"))
    (tmp_path / "bomb").write_bytes(whole.replace(b"[8]", b"[8589934592]").replace(b"[0,8]", b"[0,8589934592]"))
    (tmp_path / "header").write_bytes((2**40).to_bytes(8, "little") + whole[8:])
    monkeypatch.setattr("hybrid.runtime.arrays.LIMIT", 2**20)
    assert "and 1,048,576 is the limit" in _refusal(tmp_path / "large").what
    for name in ("lies", "bomb", "header"):
        assert _refusal(tmp_path / name).what.startswith("not a file of arrays")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (_header((2**40,)) + b"1", "says 1,099,511,627,776 bytes"),
        (_header((5,)) + b"1234", "says 5 bytes"),
        (_header((5,)) + b"123456", "says 5 bytes"),
        (_header((-1,)), "says -1 bytes"),
        (b"\x93NUMPY\x03\x00", "version (3, 0)"),
        (b"no array", "magic"),
        (b"", "magic"),
    ],
)
def test_an_array_whose_header_is_wrong_is_refused(tmp_path, content, word):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("s.npy", content)
    assert word in _refusal(tmp_path / "a.npz").what


@pytest.mark.parametrize("pack", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_cut_anywhere_is_refused(tmp_path, pack):
    whole = _packed(tmp_path, pack)
    for end in range(0, len(whole), 7):
        (tmp_path / "cut").write_bytes(whole[:end])
        _refusal(tmp_path / "cut")


@given(data=st.data(), pack=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, 14]))
@settings(max_examples=300)
def test_bytes_overwritten_anywhere_give_arrays_or_one_line(tmp_path_factory, data, pack):
    folder = tmp_path_factory.mktemp("overwritten")
    whole = bytearray(data.draw(st.sampled_from([_packed(folder, pack), save({"s": np.arange(40, dtype=np.int16)})])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a").write_bytes(whole)
    found, said = {}, ""
    try:
        found = read_arrays(folder / "a")
    except BadInputError as error:
        said = error.what
    assert all(isinstance(x, np.ndarray) for x in found.values())
    assert "\n" not in said


def _packed(folder, pack):
    """A .npz of one array under a method of compression."""
    values = io.BytesIO()
    np.save(values, np.arange(300, dtype=np.int16))
    with zipfile.ZipFile(folder / "whole", "w", pack) as archive:
        archive.writestr("s.npy", values.getvalue())
    return (folder / "whole").read_bytes()
