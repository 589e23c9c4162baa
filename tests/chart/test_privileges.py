"""What the chart lets its pods do: to the API server, and to the node."""

from typing import NamedTuple

import pytest

from chart.rendering import (
    NODE_NAMESPACE,
    RELEASE_NAMESPACE,
    SANDBOX_NAMESPACE,
    Chart,
    Manifest,
    Manifests,
    Values,
)

SEVERAL = {"operator": {"replicaCount": 2}}


class Grant(NamedTuple):
    namespace: str
    group: str
    resource: str
    verbs: frozenset[str]
    names: frozenset[str] = frozenset()


def grant(namespace: str, group: str, resource: str, verbs: str, *names: str) -> Grant:
    return Grant(namespace, group, resource, frozenset(verbs.split()), frozenset(names))


OURS = "sandbox.isola.run"

OPERATOR = {
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes", "get list watch patch delete"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes/status", "patch"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes/finalizers", "update"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxrecords", "get list create delete"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots", "get list watch create patch delete"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots/status", "patch"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshotrecords", "get list create delete"),
    grant(SANDBOX_NAMESPACE, "", "events", "create"),
    grant(SANDBOX_NAMESPACE, "", "pods", "get list watch create delete"),
    grant(
        SANDBOX_NAMESPACE,
        "networking.k8s.io",
        "networkpolicies",
        "get list watch create update delete",
    ),
}
OPERATOR_CANARY = grant(RELEASE_NAMESPACE, "", "services", "get", "isola-operator-canary")
OPERATOR.add(OPERATOR_CANARY)
JOBS = {
    grant(NODE_NAMESPACE, "batch", "jobs", "get list watch create delete"),
    grant(NODE_NAMESPACE, "", "pods", "list watch"),
}
UPLOADER = {
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots", "get list"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots/status", "patch"),
}
MOUNTER = {
    grant(SANDBOX_NAMESPACE, "", "pods", "list watch"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots", "list watch"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes", "get"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes/status", "patch"),
}
LEADER_ELECTION = {
    grant(RELEASE_NAMESPACE, "coordination.k8s.io", "leases", "create"),
    grant(RELEASE_NAMESPACE, "coordination.k8s.io", "leases", "get patch", "isola-operator"),
}
GATEWAY = {
    grant(SANDBOX_NAMESPACE, OURS, "sandboxrecords", "list"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes", "get list watch create delete"),
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes/status", "patch"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshotrecords", "list"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots", "get list watch create delete"),
    grant(SANDBOX_NAMESPACE, OURS, "rootfssnapshots/status", "patch"),
}
EXPORTER = {
    grant(SANDBOX_NAMESPACE, OURS, resource, "list watch")
    for resource in ("sandboxes", "sandboxrecords", "rootfssnapshots", "rootfssnapshotrecords")
}
ADDRESS = {grant(RELEASE_NAMESPACE, "", "services", "list watch", "isola-egress")}
EGRESS = ADDRESS | {
    grant(SANDBOX_NAMESPACE, OURS, "sandboxes", "list watch"),
    grant(SANDBOX_NAMESPACE, "", "pods", "list watch"),
}
REPLICAS = {grant(RELEASE_NAMESPACE, "discovery.k8s.io", "endpointslices", "list")}
WITH_EGRESS = {"egress": {"enabled": True}}
WITH_EXPORTER = {"exporter": {"enabled": True, "endpoint": "http://collector:4318"}}
WITH_SNAPSHOTS = {
    "operator": {
        "sandboxRuntime": {
            "rootfssnapshot": {
                "enabled": True,
                "storage": {
                    "type": "s3",
                    "s3": {
                        "bucket": "b",
                        "region": "r",
                        "accessKeyId": "i",
                        "secretAccessKey": "s",
                    },
                },
            }
        }
    }
}
WITH_EVERYTHING = WITH_EXPORTER | WITH_EGRESS | WITH_SNAPSHOTS


def granted(manifests: Manifests) -> dict[str, set[Grant]]:
    """Return what each service account may do; those of the release namespace and of nodes'."""
    found: dict[str, set[Grant]] = {}
    for binding in manifests.of("RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        (role,) = (
            item
            for item in manifests.of("Role")
            if item["metadata"]["name"] == binding["roleRef"]["name"]
            and item["metadata"]["namespace"] == namespace
        )
        for subject in binding["subjects"]:
            assert subject["kind"] == "ServiceAccount"
            account = manifests.of("ServiceAccount")
            made = [a for a in account if a["metadata"]["name"] == subject["name"]]
            assert [a["metadata"]["namespace"] for a in made] in ([], [subject["namespace"]])
            assert subject["namespace"] in {RELEASE_NAMESPACE, NODE_NAMESPACE}
            found.setdefault(subject["name"], set()).update(
                grant(
                    namespace,
                    group,
                    resource,
                    " ".join(rule["verbs"]),
                    *rule.get("resourceNames", ()),
                )
                for rule in role["rules"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
            )
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, {"isola-operator": OPERATOR, "isola-api-gateway": GATEWAY}, id="default"),
        pytest.param(
            SEVERAL,
            {"isola-operator": OPERATOR | LEADER_ELECTION, "isola-api-gateway": GATEWAY},
            id="several operators elect one",
        ),
        pytest.param(
            {"apiGateway": {"enabled": False}}, {"isola-operator": OPERATOR}, id="no gateway"
        ),
        pytest.param(
            WITH_EXPORTER,
            {
                "isola-operator": OPERATOR,
                "isola-api-gateway": GATEWAY,
                "isola-exporter": EXPORTER,
            },
            id="the exporter only reads",
        ),
        pytest.param(
            WITH_EGRESS,
            {
                "isola-operator": OPERATOR | ADDRESS,
                "isola-api-gateway": GATEWAY | REPLICAS,
                "isola-egress": EGRESS,
            },
            id="the way out by name only reads",
        ),
        pytest.param(
            WITH_EGRESS | {"apiGateway": {"enabled": False}},
            {"isola-operator": OPERATOR | ADDRESS, "isola-egress": EGRESS},
            id="the way out by name without a gateway",
        ),
        pytest.param(
            WITH_SNAPSHOTS,
            {
                "isola-operator": OPERATOR | JOBS,
                "isola-api-gateway": GATEWAY,
                "isola-snapshot-uploader": UPLOADER,
                "isola-snapshot-mounter": MOUNTER,
            },
            id="Jobs of snapshots are made where they touch nodes",
        ),
        pytest.param(
            {"operator": {"serviceAccount": {"create": False, "name": "given"}}},
            {"given": OPERATOR, "isola-api-gateway": GATEWAY},
            id="an account made elsewhere",
        ),
    ],
)
def test_these_verbs_and_no_others_are_granted(
    chart: Chart, values: Values, expected: dict[str, set[Grant]]
) -> None:
    assert granted(chart.render(values)) == expected


@pytest.mark.parametrize("values", [{}, SEVERAL, {"sandboxNamespace": {"create": True}}])
def test_nothing_is_granted_cluster_wide_but_to_read_where_the_cluster_s_ranges_lie(
    chart: Chart, values: Values
) -> None:
    manifests = chart.render(values)
    (role,), (binding,) = manifests.of("ClusterRole"), manifests.of("ClusterRoleBinding")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["servicecidrs"],
            "verbs": ["list", "watch"],
        },
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [(each["name"], each["namespace"]) for each in binding["subjects"]] == [
        ("isola-operator", RELEASE_NAMESPACE)
    ]


def test_the_way_out_by_name_reads_the_ranges_too(chart: Chart) -> None:
    (binding,) = chart.render(WITH_EGRESS).of("ClusterRoleBinding")
    assert {each["name"] for each in binding["subjects"]} == {"isola-operator", "isola-egress"}


def test_nothing_is_granted_cluster_wide_where_the_ranges_are_configured(chart: Chart) -> None:
    manifests = chart.render({"operator": {"network": {"discoverRanges": False}}})
    assert manifests.of("ClusterRole") == manifests.of("ClusterRoleBinding") == []


def test_no_role_is_left_unbound(chart: Chart) -> None:
    for manifests in map(chart.render, (SEVERAL, WITH_EVERYTHING)):
        bound = {
            (item["metadata"]["namespace"], item["roleRef"]["name"])
            for item in manifests.of("RoleBinding")
        }
        roles = {
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in manifests.of("Role")
        }
        assert roles == bound


def test_the_token_is_mounted_where_the_api_server_is_needed_and_nowhere_else(
    chart: Chart,
) -> None:
    manifests = chart.render()
    assert all(
        account["automountServiceAccountToken"] is False
        for account in manifests.of("ServiceAccount")
    )
    assert {
        name: spec["automountServiceAccountToken"] for name, spec in manifests.pod_specs().items()
    } == {"isola-operator": True, "isola-api-gateway": True, "isola-test-api-gateway": False}


def test_each_pod_runs_as_the_account_that_was_granted_its_rights(chart: Chart) -> None:
    manifests = chart.render()
    accounts = {item["metadata"]["name"] for item in manifests.of("ServiceAccount")}
    used = {
        spec["serviceAccountName"]
        for spec in manifests.pod_specs().values()
        if spec["automountServiceAccountToken"]
    }
    assert used == accounts == set(granted(manifests))


def ordinary(chart: Chart) -> dict[str, Manifest]:
    """Return the pods that touch no node: not the mounter's, of which `test_snapshots` tells."""
    specs = chart.render(WITH_EVERYTHING).pod_specs()
    del specs["isola-snapshot-mounter"]
    return specs


def test_every_pod_is_an_ordinary_user_under_the_runtime_s_seccomp_profile(chart: Chart) -> None:
    for name, spec in ordinary(chart).items():
        low_ports = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
        more = {"sysctls": [low_ports]} if name == "isola-egress" else {}
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            **more,
        }


def test_every_container_can_neither_write_to_its_root_nor_gain_a_privilege(chart: Chart) -> None:
    for spec in chart.render(WITH_EVERYTHING).pod_specs().values():
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_pod_touches_its_node(chart: Chart) -> None:
    for spec in ordinary(chart).values():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all(volume.keys() == {"name", "emptyDir"} for volume in spec.get("volumes", ()))
        for container in spec["containers"]:
            assert all("hostPort" not in port for port in container.get("ports", []))


def test_what_expires_is_removed_with_the_uploader_s_rights_and_credentials(chart: Chart) -> None:
    manifests = chart.render(WITH_SNAPSHOTS)
    expiry = manifests.pod_specs()["isola-snapshot-expiry"]
    (binding,) = (
        item
        for item in manifests.of("RoleBinding")
        if item["metadata"]["name"] == "isola-snapshot-uploader"
    )
    assert binding["subjects"][0]["name"] == expiry["serviceAccountName"]
    (container,) = expiry["containers"]
    assert container["args"] == ["expire"]
    ((secret,),) = (source.values() for source in container["envFrom"])
    where = manifests.named("Secret", secret["name"])["metadata"]["namespace"]
    assert where == manifests.named("CronJob", "isola-snapshot-expiry")["metadata"]["namespace"]
    assert where == NODE_NAMESPACE
    assert "s" not in [variable["value"] for variable in container["env"]]


def test_nothing_expires_where_that_is_switched_off(chart: Chart) -> None:
    off = {"expiry": {"enabled": False}}
    snapshots = WITH_SNAPSHOTS["operator"]["sandboxRuntime"]["rootfssnapshot"] | off
    values = {"operator": {"sandboxRuntime": {"rootfssnapshot": snapshots}}}
    names = {item["metadata"]["name"] for item in chart.render(values).of("CronJob")}
    assert names == {"isola-snapshot-inventory"}


def test_the_inventory_is_printed_when_it_is_asked_for_with_no_more_rights(chart: Chart) -> None:
    manifests = chart.render(WITH_SNAPSHOTS)
    inventory = manifests.named("CronJob", "isola-snapshot-inventory")
    assert inventory["spec"]["suspend"] is True
    pods = manifests.pod_specs()
    ours, theirs = pods["isola-snapshot-inventory"], pods["isola-snapshot-expiry"]
    assert ours["serviceAccountName"] == theirs["serviceAccountName"]
    ((container,), (other,)) = (ours["containers"], theirs["containers"])
    assert container["args"] == ["inventory"]
    assert {k: container[k] for k in ("env", "envFrom", "image")} == {
        k: other[k] for k in ("env", "envFrom", "image")
    }
    assert chart.render().of("CronJob") == []
