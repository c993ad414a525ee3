"""Archives: every format is unpacked, everything hostile is refused, and nothing is left half done."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from portfolio_shared.data.archives import filled_once, unpack, unpack_aside
from portfolio_shared.data.checks import DataError

FILES = {"daisy/1.jpg": b"one", "rose/2.jpg": b"two"}


def zipped(path, files=FILES):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def tarred(path, files=FILES, *, mode="w"):
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def content(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def refuse(archive, match, **limits):
    folder = archive.parent / "place" / "data"
    with pytest.raises(DataError, match=match):
        unpack(archive, folder, **limits)
    assert list(folder.parent.iterdir()) == []


def tar_with(path, *members):
    with tarfile.open(path, "w") as packed:
        for info in members:
            packed.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("top", ["", "top/"])
def test_the_content_tells_the_format_and_one_folder_on_top_is_left_out(tmp_path, mode, top):
    files = {top + name: data for name, data in FILES.items()}
    archive = zipped(tmp_path / "data.bin", files) if mode == "zip" else tarred(tmp_path / "data.bin", files, mode=mode)
    assert content(unpack(archive, tmp_path / "in" / "data")) == FILES


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_backslashes_in_names_part_folders(tmp_path, pack):
    files = {"top\\" + name.replace("/", "\\"): data for name, data in FILES.items()}
    assert content(unpack(pack(tmp_path / "windows", files), tmp_path / "data")) == FILES


def test_a_folder_and_a_file_of_the_same_name_are_refused_in_either_spelling(tmp_path):
    refuse(zipped(tmp_path / "twice.zip", {"a\\1.jpg": b"one", "a/1.jpg": b"two"}), "'a/1.jpg' twice")


def test_what_is_unpacked_lies_beside_neither_the_archive_nor_the_data(tmp_path, monkeypatch):
    theirs, here = tmp_path / "theirs", tmp_path / "here"
    theirs.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PORTFOLIO_DATA_DIR", str(theirs))
    archive = zipped(theirs / "mine.zip")
    folder = unpack_aside(archive)
    assert content(folder) == FILES
    assert folder.parts[:2] == (".state", "unpacked")
    assert folder.name == "mine"
    assert unpack_aside(archive) == folder
    assert unpack_aside(zipped(theirs / "mine.zip", {"other": b""})) != folder
    assert list(theirs.iterdir()) == [archive]


def test_a_folder_that_is_there_is_used_as_it_is(tmp_path):
    (tmp_path / "data").mkdir()
    assert content(unpack(tmp_path / "absent.zip", tmp_path / "data")) == {}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../out.jpg", "a/../../out.jpg", "/out.jpg", "C:/out.jpg", "a\\..\\..\\out.jpg"])
def test_names_that_lead_out_are_refused(tmp_path, pack, name):
    refuse(pack(tmp_path / "evil", {"daisy/1.jpg": b"one", name: b"x"}), "leads out of the folder")
    assert not list(tmp_path.rglob("out.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_tar_files_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("daisy/1.jpg")
    info.type, info.linkname = kind, "2.jpg"
    refuse(tar_with(tmp_path / "evil.tar", info), "'daisy/1.jpg', which is a link, a device")


def test_links_in_zip_files_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        info = zipfile.ZipInfo("daisy/1.jpg")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(info, "/etc/passwd")
    refuse(tmp_path / "evil.zip", "which is a link, a device")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_limits_are_counted_and_the_limit_itself_is_allowed(tmp_path, pack):
    archive = pack(tmp_path / "archive")
    refuse(archive, "more than 1 files", max_files=1)
    refuse(archive, "more than 5 bytes", max_bytes=5)
    assert content(unpack(archive, tmp_path / "data", max_files=2, max_bytes=6)) == FILES


def test_a_bomb_stops_at_the_limit_and_cannot_understate_its_size(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", {"daisy/1.jpg": bytes(10_000_000)})
    assert bomb.stat().st_size < 20_000
    refuse(bomb, "more than 1,000,000 bytes", max_bytes=1_000_000)
    bomb.write_bytes(bomb.read_bytes().replace((10_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    refuse(bomb, "cannot be unpacked: Bad CRC-32", max_bytes=1_000_000)


def test_names_that_occur_twice_are_refused(tmp_path):
    twice = tar_with(tmp_path / "twice.tar", tarfile.TarInfo("daisy/1.jpg"), tarfile.TarInfo("daisy/1.jpg"))
    refuse(twice, "'daisy/1.jpg' twice")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_broken_tar_file_leaves_nothing(tmp_path, mode):
    whole = tarred(tmp_path / "whole", {"a/1": os.urandom(3000), "b/2": os.urandom(3000)}, mode=mode).read_bytes()
    for length in (0, 100, 512, 2500, 3584, 5000):
        (tmp_path / "broken").write_bytes(whole[:length])
        refuse(tmp_path / "broken", "cannot be unpacked")


def test_a_tar_file_with_a_damaged_header_is_not_taken_for_a_shorter_one(tmp_path):
    damaged = bytearray(tarred(tmp_path / "whole").read_bytes())
    damaged[1024:1030] = b"xxxxxx"  # the second header: tarfile would stop before it and say nothing
    (tmp_path / "damaged").write_bytes(damaged)
    refuse(tmp_path / "damaged", "damaged, or breaks off")


def test_broken_encrypted_and_empty_zip_files_leave_nothing(tmp_path):
    whole = zipped(tmp_path / "whole").read_bytes()
    (tmp_path / "broken").write_bytes(whole[:60])
    refuse(tmp_path / "broken", "cannot be unpacked")
    locked = bytearray(whole)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(signature) + offset] |= 1  # the flag that says encrypted
    (tmp_path / "locked").write_bytes(locked)
    refuse(tmp_path / "locked", "password required")
    refuse(zipped(tmp_path / "empty", {}), "holds no files")
    (tmp_path / "text").write_text("not an archive")
    refuse(tmp_path / "text", "expected a sound zip or tar file")


def test_what_fails_is_not_left_and_the_first_to_finish_wins(tmp_path):
    folder = tmp_path / "data"

    def slower(new):
        (new / "mine").touch()
        filled_once(folder, lambda other: (other / "theirs").touch())

    assert content(filled_once(folder, slower)) == {"theirs": b""}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_place_that_cannot_be_written_is_named_and_not_the_archives_fault(tmp_path):
    (tmp_path / "place").touch()
    with pytest.raises(
        DataError, match=f"cannot be unpacked into {tmp_path}/place/data: .*make it writable"
    ) as refused:
        unpack(zipped(tmp_path / "fine.zip"), tmp_path / "place" / "data")
    assert "sound zip" not in str(refused.value)
