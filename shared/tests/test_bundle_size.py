"""What a bundle unpacks to is known, and bounded, before a byte of it is unpacked."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from portfolio_shared.bundle import BundleError, read_manifest, write_bundle
from portfolio_shared.bundle_size import MAX_MEMBERS, check_size

MB = 1_000_000


def npz(path, members):
    """Write an archive: name of a member -> its bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def array(shape="(3,)", descr="'<f8'", data=bytes(24), version=(1, 0)):
    """Return a file of NumPy's format with a header that a test chooses."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + bytes(version) + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + data


@pytest.fixture
def checked(tmp_path, toy_manifest):
    """Return a function: (name, megabytes, **write) -> after the check of a bundle with a file, which `write` made."""

    def check(name, write, megabytes=1.0):
        folder = tmp_path / "checked"
        folder.mkdir()
        write(folder / name)
        write_bundle(folder, toy_manifest())
        check_size(folder, read_manifest(folder), megabytes=megabytes)

    return check


def test_what_a_training_writes_passes(bundle, checked):
    check_size(bundle, read_manifest(bundle), megabytes=0.1)
    checked("a.npz", lambda path: np.savez_compressed(path, a=np.zeros((3, 4)), b=np.array(["ab"]), c=np.int8(1)))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("zeros.npz", lambda path: np.savez_compressed(path, a=np.zeros(8 * MB))),
        (
            "many.npz",
            lambda path: npz(path, {f"{i}.npy": array("(30000,)", "'<f8'", bytes(240_000)) for i in range(20)}),
        ),
        ("deep.json", lambda path: path.write_text("[" * 100_000)),
        ("objects.json", lambda path: path.write_text(json.dumps([{}] * 20_000))),
        ("graph.onnx", lambda path: path.write_bytes(bytes(MB // 2))),
        ("plain.bin", lambda path: path.write_bytes(bytes(MB + 1))),
    ],
)
def test_what_takes_more_than_it_may_is_refused_before_it_takes_it(checked, name, write):
    def write_and_watch(path):
        write(path)
        tracemalloc.start()

    try:
        with pytest.raises(BundleError, match=rf"{name}: the bundle takes more than the 1 MB"):
            checked(name, write_and_watch)
        assert tracemalloc.get_traced_memory()[1] < 4 * MB
    finally:
        tracemalloc.stop()


def test_the_files_of_a_bundle_count_together(tmp_path, toy_manifest):
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(bytes(MB * 6 // 10))
    write_bundle(tmp_path, toy_manifest())
    with pytest.raises(BundleError, match=r"b\.bin: the bundle takes more"):
        check_size(tmp_path, read_manifest(tmp_path), megabytes=1.0)
    check_size(tmp_path, read_manifest(tmp_path), megabytes=1.2)


@pytest.mark.parametrize(
    "content",
    [
        {"a.npy": array(shape="(10**12,)")},
        {"a.npy": array(shape="(1000000000000,)")},
        {"a.npy": array(shape="(2,)")},
        {"a.npy": array(descr="'|O'")},
        {"a.npy": array(descr="'|V0'", shape="(1000000000000,)", data=b"")},
        {"a.npy": array(version=(2, 0))},
        {"a.npy": array(shape="(" * 300)},
        {"a.npy": b""},
        {"a.npy": b"\x80\x04N."},
        {"nested.npz": b"PK"},
        b"no archive",
        b"",
        b"\x93NUMPY\x01\x00",
    ],
)
def test_what_is_no_archive_of_plain_arrays_is_refused(checked, content):
    def write(path):
        path.write_bytes(content) if isinstance(content, bytes) else npz(path, content)

    with pytest.raises(BundleError, match=r"a\.npz: expected an archive of plain arrays"):
        checked("a.npz", write)


def test_a_directory_of_countless_members_is_refused_unread(checked):
    with pytest.raises(BundleError, match="directory has"):
        checked("a.npz", lambda path: npz(path, {f"{i:0>400}.npy": b"" for i in range(2 * MAX_MEMBERS)}))


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_an_archive_that_is_cut_off_or_has_a_comment_is_refused(checked, cut):
    def write(path):
        np.savez(path, a=np.zeros(100))
        path.write_bytes(path.read_bytes()[:-cut])

    with pytest.raises(BundleError, match="expected an archive"):
        checked("a.npz", write)
