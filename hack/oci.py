"""Keep images as they are delivered: in OCI's format, and the same bytes for the same input.

Usage:
  docker save IMAGE | python3 hack/oci.py add STORE IMAGE EPOCH
  python3 hack/oci.py digest STORE IMAGE
  python3 hack/oci.py sizes STORE IMAGE...
  python3 hack/oci.py archive STORE IMAGE... [--without FILE] >ARCHIVE

`add` takes what any builder made, sets every time later than EPOCH (seconds) back to it, leaves out
what tells of the machine, and prints the manifest's digest. `archive` writes an OCI archive that
`ctr images import`, `skopeo` and `docker load` of Docker 25 take, without the blobs whose digests
FILE lists: a node that has them need not get them again.

STORE holds `blobs/sha256/...`, shared by all images, and `names/IMAGE`, a descriptor of a manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"  # not compressed: nodes and archives do that
# What an image's configuration says of how it runs; the rest tells of the builder.
RUNS = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
)


def moment(epoch: int) -> str:
    """Return seconds since 1970 as RFC 3339."""
    return datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")


def reproducible_member(member: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    """Return a file's entry without what differs from one build to the next."""
    member.mtime = min(int(member.mtime), epoch)
    member.uname = member.gname = ""
    member.pax_headers = {
        key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")
    }
    return member


def reproducible_layer(source: IO[bytes], target: IO[bytes], epoch: int) -> None:
    """Copy a layer, entry by entry and in its order, in which a link follows its target."""
    with (
        tarfile.open(fileobj=source, mode="r|") as read,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as written,
    ):
        for member in read:
            content = read.extractfile(member) if member.isreg() else None
            written.addfile(reproducible_member(member, epoch), content)


def reproducible_config(config: dict[str, Any], layers: list[str], epoch: int) -> dict[str, Any]:
    """Return an image's configuration for its new layers, without when and where it was built."""
    runs = config.get("config", {})
    return {
        "created": moment(epoch),
        "architecture": config["architecture"],
        "os": config["os"],
        "config": {key: runs[key] for key in RUNS if runs.get(key)},
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": [
            {"created": moment(epoch)}
            | {key: each[key] for key in ("created_by", "empty_layer") if key in each}
            for each in config.get("history", [])
        ],
    }


class Store:
    """A folder of blobs by digest, and of names that point to manifests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("blobs/sha256", "names", "made"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def blob(self, digest: str) -> Path:
        """Return where a blob lies."""
        return self._folder / "blobs" / digest.replace(":", "/")

    def _named(self, image: str) -> Path:
        return self._folder / "names" / image

    def put(self, content: bytes) -> dict[str, Any]:
        """Keep a small blob and return its digest and size."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        write(self.blob(digest), content)
        return {"digest": digest, "size": len(content)}

    def layer(self, source: Path, was: str, epoch: int) -> dict[str, Any]:
        """Keep a layer and return its digest and size; one that was kept before is not read."""
        known = self._folder / "made" / f"{was.removeprefix('sha256:')}-{epoch}"
        if not (known.exists() and self.blob(known.read_text()).exists()):
            with (
                tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as target,
                source.open("rb") as read,
            ):
                reproducible_layer(read, target, epoch)
            made = Path(target.name)
            with made.open("rb") as read:
                digest = f"sha256:{hashlib.file_digest(read, 'sha256').hexdigest()}"
            made.chmod(0o644)
            made.replace(self.blob(digest))
            write(known, digest.encode())
        digest = known.read_text()
        return {"digest": digest, "size": self.blob(digest).stat().st_size}

    def add(self, image: str, saved: Path, epoch: int) -> str:
        """Keep the image that `docker save` wrote into a folder; return its manifest's digest."""
        (about,) = json.loads((saved / "manifest.json").read_text())
        config = json.loads((saved / about["Config"]).read_text())
        before = config["rootfs"]["diff_ids"]
        layers = [
            self.layer(saved / path, was, epoch)
            for path, was in zip(about["Layers"], before, strict=True)
        ]
        made = reproducible_config(config, [layer["digest"] for layer in layers], epoch)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self.put(canonical(made))},
            "layers": [{"mediaType": LAYER, **layer} for layer in layers],
        }
        descriptor = {"mediaType": MANIFEST, **self.put(canonical(manifest))}
        self._named(image).parent.mkdir(parents=True, exist_ok=True)
        write(self._named(image), canonical(descriptor))
        return descriptor["digest"]

    def descriptor(self, image: str) -> dict[str, Any]:
        """Return what points to an image's manifest.

        Raises:
            SystemExit: The image is not here.
        """
        if not self._named(image).exists():
            sys.exit(f"error: {image} is not in {self._folder}: hack/images.sh builds it")
        return json.loads(self._named(image).read_text())

    def manifest(self, image: str) -> dict[str, Any]:
        """Return an image's manifest."""
        return json.loads(self.blob(self.descriptor(image)["digest"]).read_text())

    def archive(self, images: list[str], without: set[str], target: IO[bytes]) -> None:
        """Write an OCI archive of these images, the same bytes for the same images."""
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                self.descriptor(image)
                | {
                    "annotations": {
                        "io.containerd.image.name": image,
                        "org.opencontainers.image.ref.name": image,
                    }
                }
                for image in images
            ],
        }
        with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            small = {"oci-layout": {"imageLayoutVersion": "1.0.0"}, "index.json": index}
            for name, content in small.items():
                body = canonical(content)
                entry = tarfile.TarInfo(name)
                entry.size = len(body)
                archive.addfile(entry, io.BytesIO(body))
            for digest in sorted(self._digests(images) - without):
                entry = tarfile.TarInfo(f"blobs/{digest.replace(':', '/')}")
                entry.size = self.blob(digest).stat().st_size
                with self.blob(digest).open("rb") as content:
                    archive.addfile(entry, content)

    def _digests(self, images: list[str]) -> set[str]:
        blobs: set[str] = set()
        for image in images:
            manifest = self.manifest(image)
            parts = [self.descriptor(image), manifest["config"], *manifest["layers"]]
            blobs |= {part["digest"] for part in parts}
        return blobs


def canonical(content: Any) -> bytes:
    """Return JSON that is the same for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def write(path: Path, content: bytes) -> None:
    """Put a file in place in one move."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)


def add(store: Store, image: str, epoch: int) -> str:
    """Keep the image that comes in on stdin."""
    saved = Path(tempfile.mkdtemp(prefix="isola-saved-"))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as stream:
            stream.extractall(saved, filter="tar")
        return store.add(image, saved, epoch)
    finally:
        shutil.rmtree(saved)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Keep images as they are delivered.")
    parser.add_argument("do", choices=("add", "archive", "digest", "sizes"))
    parser.add_argument("store", type=Path)
    parser.add_argument("images", nargs="+")
    parser.add_argument("--without", type=Path, help="digests to leave out, one a line")
    given = parser.parse_args()
    store = Store(given.store)
    match given.do:
        case "add":
            image, epoch = given.images
            print(add(store, image, int(epoch)))
        case "digest":
            print("\n".join(store.descriptor(image)["digest"] for image in given.images))
        case "sizes":
            for image in given.images:
                size = sum(layer["size"] for layer in store.manifest(image)["layers"])
                print(f"{image} {size}")
        case _:
            without = set(given.without.read_text().split()) if given.without else set[str]()
            store.archive(given.images, without, sys.stdout.buffer)


if __name__ == "__main__":
    main()
