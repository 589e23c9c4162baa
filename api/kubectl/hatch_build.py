"""Puts the kernel, which lies beside this folder in the repository, into what is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNEL = "isola_lifecycle"


class KernelHook(BuildHookInterface[Any]):
    """A wheel is built from the repository, or from an archive that has the kernel inside."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the kernel's files, but to an editable installation: that has the folder itself."""
        if version == "editable":
            return
        root = Path(self.root)
        places = [folder / KERNEL for folder in (root, root.parent)]
        source = next((place for place in places if place.is_dir()), None)
        if source is None:
            raise FileNotFoundError(
                f"no {KERNEL} in {root} or beside it: build from the repository"
            )
        build_data["force_include"][str(source)] = KERNEL
