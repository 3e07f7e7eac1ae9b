"""The program sent to the machine behind ssh: a few lines for `python3 -`, and the one-file keeper."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MARK: Final = b"\norze-there-1\n"  # what the login shell prints by itself stands before it
FILES: Final = (
    "orze/attempt/tree.py",
    "orze/attempt/executors/remote.py",
    "orze/attempt/executors/remote_keeper.py",
    "orze/attempt/executors/remote_follow.py",
    "orze/attempt/executors/remote_cards.py",
    "orze/gpu/locks.py",
)
_PACKAGES: Final = ("orze", "orze/attempt", "orze/attempt/executors", "orze/gpu")
_MAIN: Final = """\
import sys

from orze.attempt.executors.remote_keeper import Keeper

Keeper(sys.argv[1]).run()
"""
# It is read from standard input, so that no word of it meets the login shell. Any Python can compile it.
_PROGRAM: Final = """\
import sys


def answer(text):
    sys.stdout.write("answer %%d\\n%%s" %% (len(text), text))
    sys.stdout.flush()


sys.stdout.write("\\norze-there-1\\n")
sys.stdout.flush()
if sys.version_info < (3, 8):
    answer('{"old": "%%d.%%d"}' %% sys.version_info[:2])
    sys.exit(0)

import base64, json, os

request = json.loads(%(request)r)
package = %(package)r


def find_home(directory):
    os.makedirs(directory, exist_ok=True)
    home = directory + "/.orze"
    try:
        os.mkdir(home, 0o700)
    except FileExistsError:
        if os.stat(home).st_uid != os.getuid():  # another user of this machine has it
            home = "%%s-%%d" %% (home, os.getuid())
            os.makedirs(home, 0o700, exist_ok=True)
            if os.stat(home).st_uid != os.getuid():
                raise PermissionError(1, "it belongs to somebody else", home)
    os.makedirs(home + "/runs", exist_ok=True)
    return home


def install(home):
    path = home + "/" + request["program"]
    if not os.path.exists(path):
        if not package:
            return ""
        for name, data in ((".gitignore", b"*\\n"), (request["program"], base64.b64decode(package))):
            draft = "%%s/.%%s.%%d" %% (home, name, os.getpid())
            with open(draft, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(draft, home + "/" + name)
    return path


def main():
    try:
        request["home"] = find_home(request["work_dir"])
        path = install(request["home"])
    except OSError as error:
        said = "%%s: %%s" %% (error.filename or request["work_dir"], error.strerror)
        return {"error": said, "passing": error.errno in (5, 11, 28, 116, 122)}
    if not path:
        return {"missing": True}
    sys.path.insert(0, path)
    from orze.attempt.executors import remote

    return remote.answer(request)


answer(json.dumps(main()))
"""


def keeper_package() -> tuple[str, bytes]:
    """The one-file keeper.

    Returns:
        Its file name, which tells its content apart from every other, and its bytes.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    contents = {f"{package}/__init__.py": "" for package in _PACKAGES} | {"__main__.py": _MAIN}
    for name in FILES:
        with open(f"{root}/{name}", encoding="utf-8") as stream:
            contents[name] = stream.read()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in sorted(contents.items()):
            info = zipfile.ZipInfo(name)  # dated 1980: the same sources give the same bytes
            archive.writestr(info, text, zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256("".join(map("\0".join, sorted(contents.items()))).encode()).hexdigest()
    return f"keeper-{digest[:12]}.pyz", made.getvalue()


def program(request: dict[str, Any], package: bytes) -> bytes:
    """The program for `python3 -` that asks one question of the machine there.

    Args:
        request: see `orze.attempt.executors.remote.answer`; `work_dir` and `program` are needed here.
        package: the one-file keeper where it may not be there yet; else empty.
    """
    encoded = base64.b64encode(package).decode("ascii")
    return (_PROGRAM % {"request": json.dumps(request), "package": encoded}).encode("ascii")
