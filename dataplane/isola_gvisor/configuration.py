"""What containerd and gVisor's shim are told, and whether containerd took it so. Pure."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DROP_IN = "/etc/containerd/conf.d/isola-gvisor.toml"
FOLDER = "/etc/containerd/conf.d/*.toml"
SHIM_CONFIG = "/etc/containerd/isola-runsc.toml"
MAIN = "/etc/containerd/config.toml"
PROGRAMS = ("runsc", "containerd-shim-runsc-v1")


class RefusedError(Exception):
    """This node cannot be given gVisor; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the chart asks for.

    Attributes:
        handler: containerd's name for the runtime, which a RuntimeClass names.
        folder: Where the programs go, as the node sees it.
        flags: runsc's flags and their values.
    """

    handler: str
    folder: str
    flags: Mapping[str, str]


Dump = Mapping[str, Any]
"""What `containerd config dump` prints, parsed."""


def service(shown: str) -> tuple[str, str]:
    """Return containerd's program and configuration file, of `systemctl show --property=ExecStart`.

    Raises:
        RefusedError: No unit of that name starts containerd.
    """
    found = re.search(r"path=(?P<path>\S+) ; argv\[\]=(?P<argv>[^;]*) ;", shown)
    if not found or not found["path"].endswith("/containerd"):
        raise RefusedError(
            "no systemd unit containerd.service starts a containerd here: install gVisor on this"
            " node by its distribution's means"
        )
    chosen = re.search(r"(?:--config|-c)[ =](\S+)", found["argv"])
    return found["path"], chosen[1] if chosen else MAIN


def plugin(dump: Dump) -> str:
    """Return the plugin that has the runtimes: another since containerd 2."""
    return "io.containerd.cri.v1.runtime" if dump["version"] >= 3 else "io.containerd.grpc.v1.cri"  # noqa: PLR2004


def runtimes(dump: Dump) -> dict[str, Any]:
    """Return the runtimes that containerd knows, by handler."""
    return dump.get("plugins", {}).get(plugin(dump), {}).get("containerd", {}).get("runtimes", {})


def systemd_cgroups(dump: Dump, *, unified: bool) -> bool:
    """Say whether pods' cgroups are made by systemd. runsc can ask it on version 2 alone."""
    options = runtimes(dump).get("runc", {}).get("options", {})
    return unified and bool(options.get("SystemdCgroup"))


def shim_config(wanted: Wanted, *, systemd: bool) -> str:
    """Return the shim's configuration. Each value is a string, for they become flags."""
    flags = {"systemd-cgroup": str(systemd).lower(), **wanted.flags}
    return "".join(
        [
            "# Written by Isola's gVisor installer: values gvisor.installer of its chart.\n",
            f"binary_name = {json.dumps(f'{wanted.folder}/runsc')}\n\n[runsc_config]\n",
            *(f"  {key} = {json.dumps(value)}\n" for key, value in sorted(flags.items())),
        ]
    )


def drop_in(wanted: Wanted, dump: Dump) -> str:
    """Return the part of containerd's configuration that adds the runtime."""
    table = f"plugins.{json.dumps(plugin(dump))}.containerd.runtimes.{json.dumps(wanted.handler)}"
    return f"""\
# Written by Isola's gVisor installer: values gvisor.installer of its chart.
version = {min(dump["version"], 3)}

[{table}]
  runtime_type = "io.containerd.runsc.v1"
  runtime_path = {json.dumps(f"{wanted.folder}/containerd-shim-runsc-v1")}
  pod_annotations = ["dev.gvisor.*"]
  container_annotations = ["dev.gvisor.*"]
  [{table}.options]
    TypeUrl = "io.containerd.runsc.v1.options"
    ConfigPath = {json.dumps(SHIM_CONFIG)}
"""


def reads_drop_ins(read: Mapping[str, Any]) -> bool:
    """Say whether a main configuration, parsed, imports the drop-in's folder.

    containerd 2.4 tells of that import in every dump, but follows it only where a file says so.
    """
    return any(fnmatch.fnmatch(DROP_IN, pattern) for pattern in read.get("imports", ()))


def importing(main: str, read: Mapping[str, Any]) -> str:
    """Return the main configuration with an import of the drop-in's folder.

    Args:
        main: The file, as it is; empty where there is none.
        read: The same, parsed.

    Raises:
        RefusedError: It has imports of its own, which are a person's to change.
    """
    if "imports" in read:
        raise RefusedError(
            f"containerd's configuration imports {read['imports']}, but not {FOLDER}: add that to"
            " the list, and the installer goes on"
        )
    line = f'imports = ["{FOLDER}"] # for {DROP_IN}, of Isola\'s gVisor installer\n'
    head = re.search(r"(?m)^[ \t]*version[ \t]*=.*\n", main)
    at = head.end() if head else 0
    return main[:at] + line + main[at:] if main else f"version = 2\n{line}"


def left_alone(dump: Dump, handler: str, drop_in: str | None) -> bool:
    """Say whether the node has this runtime by other hands than the drop-in, if there is one."""
    ours = runtimes(tomllib.loads(drop_in)) if drop_in else {}
    return handler in runtimes(dump) and handler not in ours


def judge(before: Dump, after: Dump, handler: str) -> None:
    """Return if the runtime was added and nothing else changed.

    Raises:
        RefusedError: containerd understood something else.
    """
    if handler not in runtimes(after):
        raise RefusedError(f"containerd reads its configuration without the runtime {handler}")
    lost = sorted(runtimes(before).keys() - runtimes(after).keys())
    if lost or plain(before, handler) != plain(after, handler):
        raise RefusedError(
            "with the drop-in, containerd would lose or change other settings"
            f" ({', '.join(lost) or 'no runtime'}): before version 2 it replaces whole sections,"
            " so add the runtime to its configuration by hand, or update containerd"
        )


def plain(dump: Dump, handler: str) -> dict[str, Any]:
    """Return a configuration without what the installer adds."""
    copied = json.loads(json.dumps({**dump, "imports": []}, default=str))
    runtimes(copied).pop(handler, None)
    return copied
