"""What a sandbox starts from: which snapshot goes into which of its containers. Pure and total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A container that starts from a snapshot.

    Attributes:
        container: Its name, or empty where the specification leaves that open.
        snapshot: The name that the snapshot is stored under.
        image: The container's image, as the template names it.
    """

    container: str
    snapshot: str
    image: str = ""


def sources_of(spec: Json) -> tuple[Source, ...]:
    """Return what a specification wants restored, in its order.

    A source without a container is for the only one there is.
    """
    template = _mapping(_mapping(spec.get("podTemplate")).get("spec"))
    images = {str(c.get("name", "")): str(c.get("image", "")) for c in containers_of(template)}
    only = next(iter(images)) if len(images) == 1 else ""
    return tuple(
        Source(name, str(item.get("snapshotName", "")), images.get(name, ""))
        for item in _items(spec.get("rootfsSnapshotSources"))
        for name in [str(item.get("containerName") or only)]
    )


def containers_of(template: Json) -> list[Json]:
    """Return the containers of a pod's specification."""
    return _items(template.get("containers"))


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Json]:
    return (
        [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
    )
