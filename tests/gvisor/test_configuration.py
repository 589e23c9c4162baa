"""What containerd is told, held against containerd's own reading where it is cheap to ask."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from isola_gvisor import configuration as wants
from isola_gvisor.configuration import RefusedError, Wanted
from isola_gvisor.undo import kept, script

RUNC = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}
WANTED = Wanted(handler="runsc", folder="/opt/isola/bin", flags={"allow-flag-override": "true"})


def dump(version: int = 3, **runtimes: Any) -> dict[str, Any]:
    name = "io.containerd.cri.v1.runtime" if version >= 3 else "io.containerd.grpc.v1.cri"
    return {
        "version": version,
        "imports": ["/etc/containerd/conf.d/*.toml"],
        "plugins": {name: {"containerd": {"runtimes": {"runc": RUNC, **runtimes}}, "other": 1}},
    }


@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_drop_in_adds_the_runtime_where_this_containerd_has_them(version: int) -> None:
    added = tomllib.loads(wants.drop_in(WANTED, dump(version)))
    assert added["version"] == min(version, 3)
    (runtime,) = wants.runtimes(added).values()
    assert runtime["runtime_path"] == "/opt/isola/bin/containerd-shim-runsc-v1"
    assert runtime["options"]["ConfigPath"] == wants.SHIM_CONFIG
    assert runtime["pod_annotations"] == ["dev.gvisor.*"]


def test_a_shim_s_flags_are_strings_and_the_chart_s_win() -> None:
    said = tomllib.loads(wants.shim_config(WANTED, systemd=True))
    assert said["binary_name"] == "/opt/isola/bin/runsc"
    assert said["runsc_config"] == {"systemd-cgroup": "true", "allow-flag-override": "true"}
    chosen = Wanted(handler="runsc", folder="/x", flags={"systemd-cgroup": "false"})
    said = tomllib.loads(wants.shim_config(chosen, systemd=True))
    assert said["runsc_config"] == {"systemd-cgroup": "false"}


def test_cgroups_are_systemd_s_only_where_runc_s_are_and_runsc_can_ask() -> None:
    assert wants.systemd_cgroups(dump(), unified=True)
    assert not wants.systemd_cgroups(dump(), unified=False)
    assert not wants.systemd_cgroups(dump(runc={"options": {"SystemdCgroup": False}}), unified=True)


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (
            "ExecStart={ path=/usr/bin/containerd ; argv[]=/usr/bin/containerd ; ignore=no ; }",
            ("/usr/bin/containerd", "/etc/containerd/config.toml"),
        ),
        (
            "ExecStart={ path=/opt/containerd ; argv[]=/opt/containerd --config=/a/b.toml -l w ; }",
            ("/opt/containerd", "/a/b.toml"),
        ),
        (
            "ExecStart={ path=/usr/bin/containerd ; argv[]=/usr/bin/containerd -c /c.toml ; }",
            ("/usr/bin/containerd", "/c.toml"),
        ),
    ],
)
def test_containerd_is_found_by_its_unit(shown: str, found: tuple[str, str]) -> None:
    assert wants.service(shown) == found


@pytest.mark.parametrize(
    "shown", ["", "ExecStart=", "ExecStart={ path=/usr/bin/k3s ; argv[]=/usr/bin/k3s server ; }"]
)
def test_a_node_without_such_a_unit_is_told_what_to_do(shown: str) -> None:
    with pytest.raises(RefusedError, match="by its distribution's means"):
        wants.service(shown)


@pytest.mark.parametrize(
    "main",
    [
        "",
        'version = 2\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    a = 1\n',
        "# mine\nversion=3\nroot = '/x'\n",
        "[debug]\n  level = 'info'\n",
    ],
)
def test_the_main_configuration_gets_an_import_and_keeps_the_rest(main: str) -> None:
    before = tomllib.loads(main)
    after = tomllib.loads(wants.importing(main, before))
    assert after.pop("imports") == [wants.FOLDER]
    assert after == (before or {"version": 2})


def test_a_list_of_imports_is_a_person_s() -> None:
    main = 'version = 2\nimports = ["/mine/*.toml"]\n'
    with pytest.raises(RefusedError, match="add that to the list"):
        wants.importing(main, tomllib.loads(main))
    assert wants.reads_drop_ins({"imports": ["/etc/containerd/conf.d/*.toml"]})
    assert not wants.reads_drop_ins({})
    assert not wants.reads_drop_ins({"imports": ["/mine/*.toml"]})


def test_a_node_s_own_runtime_is_left_alone_and_ours_is_not_taken_for_it() -> None:
    ours = wants.drop_in(WANTED, dump())
    assert wants.left_alone(dump(runsc={}), "runsc", None)
    assert not wants.left_alone(dump(runsc={}), "runsc", ours)
    assert wants.left_alone(dump(runsc={}, own={}), "own", ours)
    assert not wants.left_alone(dump(kata={}), "runsc", None)


def test_only_the_runtime_may_be_new() -> None:
    wants.judge(dump(), dump(runsc={"runtime_type": "io.containerd.runsc.v1"}), "runsc")
    with pytest.raises(RefusedError, match="without the runtime runsc"):
        wants.judge(dump(), dump(), "runsc")
    with pytest.raises(RefusedError, match=r"lose or change other settings \(kata\)"):
        wants.judge(dump(kata={}), dump(runsc={}), "runsc")
    with pytest.raises(RefusedError, match="lose or change other settings"):
        wants.judge(dump(), dump(runsc={}, runc={}), "runsc")


def test_the_way_back_removes_what_was_not_there_and_restores_what_was() -> None:
    lines = script([("/etc/containerd/config.toml", True), ("/etc/a b.toml", False)]).splitlines()
    assert f"cp {kept('/etc/containerd/config.toml')} /etc/containerd/config.toml" in lines
    assert "rm -f '/etc/a b.toml'" in lines
    assert lines[-1] == "systemctl restart containerd"
    assert kept("/etc/containerd/config.toml") != kept(wants.DROP_IN)
