"""What the results directory stands on, from tables of mounts and from filesystems that lack something."""

import errno
import os

import pytest

from orze.coord.mount import attribute_cache, preflight
from orze.core.errors import MountError
from orze.core.files import RealFiles, make_dirs
from orze.core.memory import MemoryFiles
from tests.fakes.shares import Answers, Share, fails_always

HOME = "/results/.orze"
ROOT = "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro"


def mounts(*lines):
    return "\n".join([ROOT, *lines]) + "\n"


def nfs(options, point="/share", kind="nfs4"):
    return f"90 22 0:50 / {point} rw,relatime shared:9 - {kind} server:/export rw,vers=4.2,{options}hard"


@pytest.mark.parametrize(
    ("path", "table", "seconds"),
    [
        ("/home/ann/results", mounts(), 0),
        ("/share/results", mounts(nfs("")), 60),
        ("/share/results", mounts(nfs("", kind="nfs")), 60),
        ("/share", mounts(nfs("")), 60),
        ("/share/results", mounts(nfs("acregmin=1,acregmax=2,acdirmin=3,acdirmax=4,")), 4),
        ("/share/results", mounts(nfs("acdirmax=0,")), 0),
        ("/share/results", mounts(nfs("acdirmax=600,")), 600),
        ("/share/results", mounts(nfs("actimeo=5,")), 5),
        ("/share/results", mounts(nfs("actimeo=5,acdirmax=7,")), 7),
        ("/share/results", mounts(nfs("noac,")), 0),
        ("/share/results", mounts(nfs("acdirmax=many,")), 60),
        ("/shared/results", mounts(nfs("")), 0),
        ("/share/local/results", mounts(nfs(""), "95 90 8:1 / /share/local rw - xfs /dev/sdb1 rw"), 0),
        ("/share/a b/results", mounts(nfs("acdirmax=9,", point=r"/share/a\040b")), 9),
        ("/share/results", mounts(nfs(""), "95 90 8:1 / /share rw - ext4 /dev/sdb1 rw"), 0),
        ("/lustre/results", mounts("91 22 0:51 / /lustre rw - lustre 10.0.0.1@tcp:/fs rw"), 60),
        ("/gpfs/results", mounts("91 22 0:51 / /gpfs rw - gpfs gpfs0 rw"), 60),
        ("/x/results", mounts("91 22 0:51 / /x rw - fuse.glusterfs server:/v rw"), 60),
        ("/x/results", mounts("91 22 0:51 / /x rw - cifs //server/v rw,actimeo=1"), 1),
        ("/x/results", mounts("91 22 0:51 / /x rw - afilesystemoftomorrow x rw"), 60),
        ("/x/results", mounts("91 22 0:51 / /x rw - tmpfs tmpfs rw"), 0),
        ("/x/results", mounts("91 22 0:51 / /x rw - overlay overlay rw,lowerdir=/a"), 0),
        ("/x/results", mounts("91 22 0:51 / /x rw shared:1 master:2 - nfs4 s:/e rw,acdirmax=8"), 8),
        ("/x/results", mounts("", "garbage", "1 2 3 - x", " - - - ", "91 22 0:51 / /x rw"), 0),
        ("/share/results", "", 60),
    ],
)
def test_the_cache_of_a_mount_is_read_from_its_line(path, table, seconds):
    assert attribute_cache(path, table) == seconds


def test_a_link_is_followed_to_the_mount_that_it_leads_to(tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "results").symlink_to("share")
    point = os.path.realpath(tmp_path / "share")
    assert attribute_cache(str(tmp_path / "results"), mounts(nfs("acdirmax=8,", point=point))) == 8


def test_the_mounts_of_this_machine_can_be_read(tmp_path):
    assert attribute_cache(str(tmp_path)) >= 0


@pytest.mark.parametrize("real", [True, False])
def test_a_good_filesystem_passes_and_is_left_as_it_was(tmp_path, real):
    files, home = (RealFiles(), f"{tmp_path}/results/.orze") if real else (MemoryFiles(), HOME)
    preflight(files, home)
    preflight(files, home)
    assert files.listdir(home) == []


@pytest.mark.parametrize(
    ("name", "number", "step"),
    [
        ("mkdir", errno.EROFS, "make a directory"),
        ("mkdir", errno.EACCES, "make a directory"),
        ("write_new", errno.ENOSPC, "write and fsync a file"),
        ("link", errno.EPERM, "make a hard link"),
        ("link", errno.EOPNOTSUPP, "make a hard link"),
        ("replace", errno.EINVAL, "replace a file by rename"),
        ("read", errno.EIO, "read back what was written"),
        ("sync_dir", errno.EINVAL, "fsync a directory"),
    ],
)
def test_a_filesystem_that_lacks_something_is_refused_with_a_sentence(name, number, step):
    files = MemoryFiles()
    make_dirs(files, HOME)
    with pytest.raises(MountError) as refusal:
        preflight(fails_always(files, name, number), HOME)
    sentence = str(refusal.value)
    assert sentence.startswith(f"{HOME}: cannot {step} there ({errno.errorcode[number]})")
    assert "set results_dir" in sentence
    assert "\n" not in sentence
    assert all(files.listdir(HOME) == [] for name in files.listdir("/results"))


def overwriting_link(files):
    """A link that silently takes the place of what is there, as some FUSE filesystems do."""

    def answer(count, call, arguments):
        source, target = arguments
        files.unlink(target)
        files.link(source, target)

    return Answers(files, "link", answer)


def overwriting_create(files):
    def answer(count, call, arguments):
        path, data = arguments
        files.unlink(path)
        files.write_new(path, data)

    return Answers(files, "write_new", answer)


def forgiving_mkdir(files):
    def answer(count, call, arguments):
        try:
            call()
        except FileExistsError:
            return

    return Answers(files, "mkdir", answer)


def copying_link(files):
    """A link that is a copy cannot be told from a link by its bytes, but a replacement that hits both can."""

    def answer(count, call, arguments):
        files.unlink(arguments[0])
        files.write_new(arguments[0], arguments[1])
        for name in files.listdir(arguments[0].rpartition("/")[0]):
            files.overwrite(f"{arguments[0].rpartition('/')[0]}/{name}", arguments[1])

    return Answers(files, "replace", answer)


@pytest.mark.parametrize(
    ("share", "what"),
    [
        (overwriting_link, "a second link of one name was allowed"),
        (overwriting_create, "a second file of one name was allowed"),
        (forgiving_mkdir, "a second directory of one name was allowed"),
        (copying_link, "the bytes differ"),
    ],
)
def test_a_filesystem_that_lets_two_callers_win_is_refused(share, what):
    files = MemoryFiles()
    with pytest.raises(MountError, match=what):
        preflight(share(files), HOME)


def test_a_refusal_is_not_hidden_by_a_scratch_directory_that_cannot_be_removed():
    class Broken(Share):
        def around(self, name, arguments, call):
            if name in ("link", "rmdir", "unlink"):
                raise OSError(errno.EPERM, "no")
            return call()

    with pytest.raises(MountError, match="hard link"):
        preflight(Broken(MemoryFiles()), HOME)
