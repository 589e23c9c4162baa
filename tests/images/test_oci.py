"""What is delivered: the same bytes whenever and wherever it was built."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from support.toolchain import ROOT

EPOCH = 1767225600


def oci() -> Any:
    """Return hack/oci.py, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("oci", ROOT / "hack" / "oci.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def layer(built_at: float, builder: str) -> bytes:
    """Return a layer with an old file, a new one, and a link to it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, mtime in (("old", 1000.0), ("new", built_at)):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.size, entry.uid, entry.mode = mtime, 3, 65532, 0o640  # pyright: ignore[reportAttributeAccessIssue]
            entry.uname = builder
            entry.pax_headers = {"atime": str(built_at), "SCHILY.xattr.user.kept": "1"}
            archive.addfile(entry, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "new"
        archive.addfile(link)
    return target.getvalue()


def saved(folder: Path, built_at: float, builder: str) -> Path:
    """Return a folder as `docker save` writes it."""
    config = {
        "created": f"on {builder}",
        "architecture": "amd64",
        "os": "linux",
        "container": builder,
        "docker_version": builder,
        "config": {"User": "65532:65532", "Entrypoint": ["a"], "Hostname": builder, "Image": "x"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{builder}"]},
        "history": [{"created": f"on {builder}", "created_by": "COPY a"}],
    }
    folder.mkdir()
    (folder / "layer.tar").write_bytes(layer(built_at, builder))
    (folder / "config.json").write_text(json.dumps(config))
    about = [{"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["a:1"]}]
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


def test_two_builders_at_two_times_make_the_same_image(tmp_path: Path) -> None:
    script = oci()
    here, there = script.Store(tmp_path / "here"), script.Store(tmp_path / "there")
    one = here.add("r/a:1", saved(tmp_path / "a", EPOCH + 5.25, "ann"), EPOCH)
    other = there.add("r/a:1", saved(tmp_path / "b", EPOCH + 99.5, "ben"), EPOCH)
    assert one == other == here.descriptor("r/a:1")["digest"]
    assert one != here.add("r/a:1", saved(tmp_path / "c", EPOCH, "ann"), EPOCH - 1)


def test_an_archive_is_an_image_with_its_old_times_owners_and_links(tmp_path: Path) -> None:
    script = oci()
    store = script.Store(tmp_path / "store")
    store.add("r/a:1", saved(tmp_path / "a", EPOCH + 7.5, "ann"), EPOCH)
    target = io.BytesIO()
    store.archive(["r/a:1"], set(), target)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        names = archive.getnames()
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
    (manifest,) = index["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "r/a:1"
    assert len(names) == 2 + 3  # layout and index; manifest, configuration, layer
    config = json.loads(store.blob(store.manifest("r/a:1")["config"]["digest"]).read_text())
    assert config["config"] == {"User": "65532:65532", "Entrypoint": ["a"]}
    (blob,) = (each["digest"] for each in store.manifest("r/a:1")["layers"])
    with tarfile.open(store.blob(blob)) as made:
        files = {each.name: each for each in made}
    assert (files["old"].mtime, files["new"].mtime) == (1000, EPOCH)
    assert (files["new"].uid, files["new"].mode, files["new"].uname) == (65532, 0o640, "")
    assert files["new"].pax_headers["SCHILY.xattr.user.kept"] == "1"
    assert files["link"].islnk()


def test_what_a_node_has_is_not_sent_again(tmp_path: Path) -> None:
    store = oci().Store(tmp_path / "store")
    store.add("r/a:1", saved(tmp_path / "a", EPOCH, "ann"), EPOCH)
    (layer,) = (each["digest"] for each in store.manifest("r/a:1")["layers"])
    target = io.BytesIO()
    store.archive(["r/a:1"], {layer}, target)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        assert f"blobs/{layer.replace(':', '/')}" not in archive.getnames()


def test_an_image_that_was_not_built_is_asked_for_by_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"hack/images\.sh builds it"):
        oci().Store(tmp_path).manifest("r/b:2")
