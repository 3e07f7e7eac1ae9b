"""What `Files` promises, held against the real filesystem and the one in memory alike."""

import errno
import os
import resource
import stat

import pytest

from orze.core.files import RealFiles, make_dir, make_dirs, nonce, temporary_name
from orze.core.memory import MemoryFiles


@pytest.fixture(params=["real", "memory"])
def share(request, tmp_path):
    """A `Files` and an empty directory of it."""
    if request.param == "real":
        return RealFiles(), str(tmp_path)
    files = MemoryFiles()
    files.mkdir("/share")
    return files, "/share"


@pytest.fixture
def real(tmp_path):
    return RealFiles(), str(tmp_path)


def is_directory(files, path):
    return stat.S_ISDIR(files.stat(path).st_mode)


def test_only_the_first_mkdir_of_a_name_succeeds(share):
    files, home = share
    files.mkdir(f"{home}/a")
    with pytest.raises(FileExistsError):
        files.mkdir(f"{home}/a")
    assert is_directory(files, f"{home}/a")


def test_a_file_stands_in_the_way_of_a_directory_of_its_name(share):
    files, home = share
    files.write_new(f"{home}/a", b"")
    with pytest.raises(FileExistsError):
        files.mkdir(f"{home}/a")


def test_the_root_is_always_there(share):
    files, _home = share
    with pytest.raises(FileExistsError):
        files.mkdir("/")


def test_a_new_file_holds_what_was_written(share):
    files, home = share
    files.write_new(f"{home}/a", b"x" * 100_000)
    assert files.read(f"{home}/a", 100_000) == b"x" * 100_000
    assert files.stat(f"{home}/a").st_size == 100_000
    assert stat.S_ISREG(files.stat(f"{home}/a").st_mode)


def test_only_the_first_write_of_a_new_name_succeeds(share):
    files, home = share
    files.write_new(f"{home}/a", b"first")
    with pytest.raises(FileExistsError):
        files.write_new(f"{home}/a", b"second")
    assert files.read(f"{home}/a", 10) == b"first"


def test_a_file_larger_than_the_limit_is_refused(share):
    files, home = share
    files.write_new(f"{home}/a", b"12345")
    with pytest.raises(OSError, match="larger than 4 bytes") as refusal:
        files.read(f"{home}/a", 4)
    assert refusal.value.errno == errno.EFBIG


def test_a_listing_shows_names_of_every_kind(share):
    files, home = share
    files.mkdir(f"{home}/directory")
    files.write_new(f"{home}/file", b"")
    files.symlink("nowhere", f"{home}/link")
    files.link(f"{home}/file", f"{home}/second")
    assert sorted(files.listdir(home)) == ["directory", "file", "link", "second"]


def test_overwriting_keeps_the_length_and_what_follows(share):
    files, home = share
    files.write_new(f"{home}/a", b"0001\n")
    files.overwrite(f"{home}/a", b"0002")
    assert files.read(f"{home}/a", 10) == b"0002\n"


def test_overwriting_is_seen_through_every_name(share):
    files, home = share
    files.write_new(f"{home}/a", b"1")
    files.link(f"{home}/a", f"{home}/b")
    files.overwrite(f"{home}/a", b"2")
    assert files.read(f"{home}/b", 10) == b"2"


def test_overwriting_never_makes_a_file(share):
    files, home = share
    with pytest.raises(FileNotFoundError):
        files.overwrite(f"{home}/a", b"1")
    assert files.listdir(home) == []


def test_only_the_first_link_to_a_name_succeeds(share):
    files, home = share
    files.write_new(f"{home}/a", b"a")
    files.write_new(f"{home}/b", b"b")
    files.link(f"{home}/a", f"{home}/slot")
    with pytest.raises(FileExistsError):
        files.link(f"{home}/b", f"{home}/slot")
    assert files.read(f"{home}/slot", 10) == b"a"


def test_a_linked_file_outlives_its_first_name(share):
    files, home = share
    files.write_new(f"{home}/a", b"a")
    files.link(f"{home}/a", f"{home}/b")
    files.unlink(f"{home}/a")
    assert files.read(f"{home}/b", 10) == b"a"
    assert files.listdir(home) == ["b"]


def test_replacing_puts_a_whole_file_in_place_and_leaves_nothing_beside_it(share):
    files, home = share
    files.replace(f"{home}/a", b"old")
    files.link(f"{home}/a", f"{home}/kept")
    files.replace(f"{home}/a", b"newer")
    assert files.read(f"{home}/a", 10) == b"newer"
    assert files.read(f"{home}/kept", 10) == b"old"
    assert sorted(files.listdir(home)) == ["a", "kept"]


def test_a_symlink_takes_the_place_of_a_file_and_of_a_link(share):
    files, home = share
    files.write_new(f"{home}/a", b"a")
    files.write_new(f"{home}/b", b"bb")
    files.write_new(f"{home}/face", b"")
    files.symlink("a", f"{home}/face")
    assert files.stat(f"{home}/face").st_size == 1
    files.symlink(f"{home}/b", f"{home}/face")
    assert files.stat(f"{home}/face").st_size == 2
    assert sorted(files.listdir(home)) == ["a", "b", "face"]


def test_a_link_that_leads_nowhere_has_no_status(share):
    files, home = share
    files.symlink("nowhere", f"{home}/link")
    with pytest.raises(FileNotFoundError):
        files.stat(f"{home}/link")


def test_a_symlink_is_never_read_nor_written_through(share):
    files, home = share
    files.write_new(f"{home}/a", b"a")
    files.symlink("a", f"{home}/link")
    with pytest.raises(OSError, match="link"):
        files.read(f"{home}/link", 10)
    with pytest.raises(OSError, match="link"):
        files.overwrite(f"{home}/link", b"b")
    with pytest.raises(FileExistsError):
        files.write_new(f"{home}/link", b"b")
    assert files.read(f"{home}/a", 10) == b"a"


def test_what_is_gone_can_be_removed_again(share):
    files, home = share
    files.unlink(f"{home}/a")
    files.rmdir(f"{home}/a")
    files.unlink(f"{home}/no/a")
    files.rmdir(f"{home}/no/a")
    assert "no" not in files.listdir(home)


def test_a_directory_is_removed_only_when_empty(share):
    files, home = share
    files.mkdir(f"{home}/a")
    files.write_new(f"{home}/a/b", b"")
    with pytest.raises(OSError, match="empty") as refusal:
        files.rmdir(f"{home}/a")
    assert refusal.value.errno == errno.ENOTEMPTY
    files.unlink(f"{home}/a/b")
    files.rmdir(f"{home}/a")
    assert files.listdir(home) == []


def test_the_status_tells_a_change_of_a_directory_and_of_a_file(share):
    files, home = share
    seen = set()

    def look(path):
        status = files.stat(path)
        fingerprint = (path, status.st_ino, status.st_mtime_ns, status.st_size)
        assert fingerprint not in seen
        seen.add(fingerprint)

    files.mkdir(f"{home}/d")
    if isinstance(files, RealFiles):
        os.utime(f"{home}/d", ns=(0, 0))  # the clock of a disk may not tick between two changes
    look(f"{home}/d")
    files.replace(f"{home}/d/a", b"1")
    look(f"{home}/d")
    look(f"{home}/d/a")
    files.replace(f"{home}/d/a", b"22")
    look(f"{home}/d/a")


MISSING = {
    "listdir": lambda files, path: files.listdir(path),
    "read": lambda files, path: files.read(path, 10),
    "overwrite": lambda files, path: files.overwrite(path, b""),
    "stat": lambda files, path: files.stat(path),
    "sync_dir": lambda files, path: files.sync_dir(path),
    "link from": lambda files, path: files.link(path, path + "-target"),
    "mkdir below": lambda files, path: files.mkdir(path + "/x"),
    "write_new below": lambda files, path: files.write_new(path + "/x", b""),
    "replace below": lambda files, path: files.replace(path + "/x", b""),
    "symlink below": lambda files, path: files.symlink("x", path + "/x"),
}


@pytest.mark.parametrize("operation", MISSING)
def test_a_missing_name_is_told_as_such(share, operation):
    files, home = share
    with pytest.raises(FileNotFoundError):
        MISSING[operation](files, f"{home}/missing")
    assert files.listdir(home) == []


UNDER_A_FILE = {name: call for name, call in MISSING.items() if "below" in name} | {
    "listdir": MISSING["listdir"],
    "sync_dir": MISSING["sync_dir"],
    "rmdir": lambda files, path: files.rmdir(path),
    "unlink below": lambda files, path: files.unlink(path + "/x"),
    "read below": lambda files, path: files.read(path + "/x", 1),
    "stat below": lambda files, path: files.stat(path + "/x"),
}


@pytest.mark.parametrize("operation", UNDER_A_FILE)
def test_a_file_is_no_directory(share, operation):
    files, home = share
    files.write_new(f"{home}/file", b"kept")
    with pytest.raises(NotADirectoryError):
        UNDER_A_FILE[operation](files, f"{home}/file")
    assert files.read(f"{home}/file", 10) == b"kept"


ON_A_DIRECTORY = {
    "read": MISSING["read"],
    "overwrite": MISSING["overwrite"],
    "unlink": lambda files, path: files.unlink(path),
    "link from": MISSING["link from"],
    "replace": lambda files, path: files.replace(path, b""),
    "symlink": lambda files, path: files.symlink("x", path),
    "write_new": lambda files, path: files.write_new(path, b""),
}


@pytest.mark.parametrize("operation", ON_A_DIRECTORY)
def test_a_directory_is_no_file_and_is_left_as_it_is(share, operation):
    files, home = share
    files.mkdir(f"{home}/directory")
    files.write_new(f"{home}/directory/inside", b"")
    with pytest.raises(OSError, match="directory"):
        ON_A_DIRECTORY[operation](files, f"{home}/directory")
    assert files.listdir(home) == ["directory"]
    assert files.listdir(f"{home}/directory") == ["inside"]


def test_parents_are_made_and_making_them_again_is_fine(share):
    files, home = share
    make_dirs(files, f"{home}/a/b/c")
    make_dirs(files, f"{home}/a/b/c")
    assert is_directory(files, f"{home}/a/b/c")


def test_making_one_directory_twice_is_fine_but_its_parent_is_not_made(share):
    files, home = share
    make_dir(files, f"{home}/a")
    make_dir(files, f"{home}/a")
    with pytest.raises(FileNotFoundError):
        make_dir(files, f"{home}/b/c")
    assert files.listdir(home) == ["a"]


def test_a_parent_that_leads_nowhere_is_an_error_and_no_endless_loop(real):
    files, home = real
    files.symlink("unmounted", f"{home}/results")
    with pytest.raises(FileNotFoundError):
        make_dirs(files, f"{home}/results/.orze/heartbeats")


def test_reading_neither_waits_for_a_fifo_nor_takes_it_for_a_file(real):
    files, home = real
    os.mkfifo(f"{home}/fifo")
    with pytest.raises(OSError, match="not a regular file"):
        files.read(f"{home}/fifo", 10)


def test_the_umask_decides_who_may_use_a_file(real):
    files, home = real
    before = os.umask(0o002)
    try:
        files.write_new(f"{home}/a", b"")
        files.replace(f"{home}/b", b"")
        files.mkdir(f"{home}/d")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(os.stat(f"{home}/{name}").st_mode) for name in "abd"] == [0o664, 0o664, 0o775]


def test_a_file_that_cannot_be_written_whole_is_not_left_behind(real):
    files, home = real
    files.write_new(f"{home}/kept", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="large") as refusal:
            files.write_new(f"{home}/a", b"x" * 10_000)
        with pytest.raises(OSError, match="large"):
            files.replace(f"{home}/kept", b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.errno == errno.EFBIG
    assert files.listdir(home) == ["kept"]
    assert files.read(f"{home}/kept", 10) == b"old"


def test_a_replacement_that_cannot_be_put_in_place_is_not_left_behind(real):
    files, home = real
    files.mkdir(f"{home}/d")
    with pytest.raises(IsADirectoryError):
        files.replace(f"{home}/d", b"")
    with pytest.raises(IsADirectoryError):
        files.symlink("x", f"{home}/d")
    assert files.listdir(home) == ["d"]


def test_nonces_are_16_hex_digits_that_differ():
    made = {nonce() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(mark) == 16 and int(mark, 16) >= 0 for mark in made)


def test_a_temporary_name_is_hidden_fresh_and_beside_its_file():
    first, second = temporary_name("/share/a/metrics.json"), temporary_name("/share/a/metrics.json")
    assert first != second
    assert first.startswith("/share/a/.tmp-")
    assert first.endswith("-metrics.json")
