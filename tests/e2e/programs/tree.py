"""A root file system: `make` changes one in every way there is, `tell` prints what is in it.

What is told, a JSON object by path: kind, mode, owner, and of files size, digest and names; links,
extended attributes. Mounts and what differs from pod to pod are left out.
"""

import base64
import hashlib
import json
import os
import random
import stat
import sys
from pathlib import Path
from typing import Any

WORK = Path("/work")
FOREIGN = {
    *("/proc", "/sys", "/dev", "/tmp", "/run", "/isola-gate"),
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/var/run/isola"),
}
LARGE = 64 * 1024 * 1024


def make() -> None:
    """Change the root file system: new, changed and deleted, files, directories and links."""
    WORK.mkdir()
    noise = random.Random(1)
    (WORK / "large").write_bytes(noise.randbytes(LARGE))
    with (WORK / "sparse").open("wb") as file:
        file.seek(100_000_000)
        file.write(b"end")
    (WORK / "empty").touch()
    (WORK / "empty directory").mkdir()
    (WORK / "with\nnewline ü").write_text("ü")
    Path(os.fsdecode(b"/work/no-utf8-\xff")).write_bytes(b"\xff")
    (WORK / ("n" * 255)).write_text("a long name")
    deep = WORK.joinpath(*("deep",) * 30)
    deep.mkdir(parents=True)
    (deep / "file").write_text("deep")
    for mode in (0o000, 0o444, 0o640, 0o4755, 0o2755, 0o1777):
        path = WORK / f"mode-{mode:o}"
        path.write_text("mode")
        path.chmod(mode)
    (WORK / "sticky").mkdir()
    (WORK / "sticky").chmod(0o1777)
    for owner in ((1000, 1000), (0, 4242), (65534, 65534)):
        path = WORK / f"owner-{owner[0]}-{owner[1]}"
        path.write_text("owner")
        os.chown(path, *owner)
    os.link(WORK / "owner-1000-1000", WORK / "hard link")
    os.link(WORK / "owner-1000-1000", WORK / "deep" / "hard link")
    (WORK / "link").symlink_to("empty")
    (WORK / "dangling").symlink_to("/nowhere/at/all")
    (WORK / "absolute").symlink_to("/etc/passwd")
    os.setxattr(WORK / "empty", "user.note", "of a file, ü".encode())
    os.setxattr(WORK / "sticky", "user.note", b"of a directory")
    os.mkfifo(WORK / "fifo")
    os.utime(WORK / "empty", (1_000_000_000, 1_000_000_001))
    for number in range(2000):
        (WORK / "many" / str(number % 50)).mkdir(parents=True, exist_ok=True)
        (WORK / "many" / str(number % 50) / str(number)).write_text(str(number))
    # Of the image's own: changed, deleted, replaced by something else.
    Path("/etc/debian_version").write_text("changed\n")
    Path("/etc/issue").unlink()
    Path("/etc/passwd").chmod(0o600)
    os.chown("/etc/group", 7, 8)
    _remove(Path("/etc/skel"))
    _remove(Path("/etc/alternatives"))  # deleted, and there again with something else in it
    Path("/etc/alternatives").mkdir()
    Path("/etc/alternatives/new").write_text("new")
    Path("/etc/issue.net").unlink()
    Path("/etc/issue.net").mkdir()
    Path("/etc/shells").rename("/etc/renamed")


def _remove(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            _remove(each)
        else:
            each.unlink()
    folder.rmdir()


def tell() -> dict[str, Any]:
    """Return all there is."""
    found: dict[str, Any] = {}
    names: dict[tuple[int, int], list[str]] = {}
    for folder, folders, files in os.walk(b"/"):
        here = os.fsdecode(folder)
        folders[:] = [each for each in folders if _path(here, each) not in FOREIGN]
        for each in (*folders, *files):
            path = _path(here, each)
            if path not in FOREIGN:
                found[path] = _one(path, names)
    for paths in names.values():
        for path in paths:
            found[path]["names"] = sorted(map(_shown, paths))
    return {_shown(path): told for path, told in found.items()}


def _one(path: str, names: dict[tuple[int, int], list[str]]) -> dict[str, Any]:
    status = os.lstat(path)
    told: dict[str, Any] = {
        "kind": stat.S_IFMT(status.st_mode),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": [status.st_uid, status.st_gid],
    }
    if stat.S_ISLNK(status.st_mode):
        return {**told, "target": _shown(str(Path(path).readlink()))}
    if stat.S_ISREG(status.st_mode):
        told["size"] = status.st_size
        told["digest"] = _digest(path)
        if path.startswith("/work"):
            # An archive has whole seconds, the nearest.
            told["modified"] = (status.st_mtime_ns + 500_000_000) // 1_000_000_000
        if status.st_nlink > 1:
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    attributes = sorted(os.listxattr(path)) if path.startswith("/work/") else []
    if attributes:
        told["attributes"] = {
            each: base64.b64encode(os.getxattr(path, each)).decode() for each in attributes
        }
    return told


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _path(folder: str, name: bytes) -> str:
    return f"{folder.rstrip('/')}/{os.fsdecode(name)}"


def _shown(path: str) -> str:
    return os.fsencode(path).decode("ascii", "backslashreplace")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make()
    else:
        json.dump(tell(), sys.stdout)
