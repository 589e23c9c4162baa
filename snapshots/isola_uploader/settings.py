"""The uploader's settings, from its environment: what the operator puts into a Job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isola_process.environment import SettingsError, flag, level
from isola_uploader.capture import Order
from isola_uploader.runsc import Runsc


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says.

    Attributes:
        environment: It.
    """

    environment: Mapping[str, str]

    @property
    def bucket_url(self) -> str:
        """Return the bucket's URL."""
        return self._needed("ISOLA_BUCKET_URL")

    @property
    def silence_seconds(self) -> float:
        """Return how long a bucket may send nothing before a request is made again."""
        return self._number("ISOLA_BUCKET_SILENCE_SECONDS", "30")

    @property
    def as_json(self) -> bool:
        """Return whether the inventory is for programs rather than people."""
        form = self.environment.get("ISOLA_INVENTORY_FORMAT", "table")
        if form not in {"table", "json"}:
            raise SettingsError(f"ISOLA_INVENTORY_FORMAT is {form!r}; it must be table or json")
        return form == "json"

    @property
    def folder(self) -> Path:
        """Return where the capture leaves the archive for the upload."""
        return Path(self._needed("ISOLA_ARCHIVE")).parent

    @property
    def kubeconfig(self) -> str:
        """Return a file with credentials, or nothing inside a cluster."""
        return self.environment.get("ISOLA_KUBECONFIG", "")

    @property
    def log_level(self) -> str:
        """Return debug, info, warning or error."""
        return level(self.environment)

    @property
    def namespace(self) -> str:
        """Return where the snapshot is."""
        return self._needed("ISOLA_NAMESPACE")

    @property
    def snapshot(self) -> str:
        """Return the snapshot's name."""
        return self._needed("ISOLA_SNAPSHOT")

    @property
    def snapshot_uid(self) -> str:
        """Return the snapshot's UID: another one of that name is none of ours."""
        return self._needed("ISOLA_SNAPSHOT_UID")

    @property
    def runsc(self) -> Runsc:
        """Return the node's gVisor."""
        return Runsc(
            binary=Path(self._needed("ISOLA_RUNSC")), root=Path(self._needed("ISOLA_RUNSC_ROOT"))
        )

    @property
    def order(self) -> Order:
        """Return what is to be captured."""
        return Order(
            container=self._needed("ISOLA_CONTAINER_ID"),
            folder=self.folder,
            limit_bytes=self._number("ISOLA_ARCHIVE_LIMIT_BYTES"),
            pause=flag(self.environment, "ISOLA_PAUSE"),
            limit_seconds=self._number("ISOLA_CAPTURE_SECONDS"),
        )

    def _needed(self, name: str) -> str:
        value = self.environment.get(name, "").strip()
        if not value:
            raise SettingsError(f"{name} is not set; the operator sets it in its Jobs")
        return value

    def _number(self, name: str, default: str = "") -> int:
        value = self.environment.get(name, default) or self._needed(name)
        if not value.isdecimal() or int(value) < 1:
            raise SettingsError(f"{name} is {value!r}; it must be a whole number, at least 1")
        return int(value)
