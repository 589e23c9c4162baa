"""The values: documented, and a slip of the pen is refused with a message one can act on."""

import itertools
import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chart.rendering import ABOUT, CHART, RELEASE_NAMESPACE, Chart, RefusedError, Values

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its reference followed; what stands beside the reference wins."""
    if "$ref" not in node:
        return node
    name = node["$ref"].removeprefix("#/definitions/")
    return SCHEMA["definitions"][name] | {key: node[key] for key in node.keys() - {"$ref"}}


def objects(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node of the schema that fixes its keys, and its leaves, by path."""
    node = resolved(node)
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from objects(child, f"{path}.{name}".removeprefix("."))


def test_the_chart_passes_helm_s_strict_lint(chart: Chart) -> None:
    assert "0 chart(s) failed" in chart.run("lint", "--strict", ".")


def test_the_defaults_are_complete_and_in_the_schema(chart: Chart) -> None:
    def keys(values: Any, schema: dict[str, Any], path: str) -> None:
        properties = resolved(schema).get("properties")
        if properties is None or path.endswith(".resources"):
            return
        assert values.keys() == properties.keys(), path
        for name, value in values.items():
            keys(value, properties[name], f"{path}.{name}")

    keys(DEFAULTS, SCHEMA, "")
    assert chart.render(DEFAULTS) == chart.render()


@pytest.mark.parametrize(
    ("path", "node"), list(objects(SCHEMA))[1:], ids=lambda value: str(value)[:60]
)
def test_every_key_is_described(path: str, node: dict[str, Any]) -> None:
    assert node["description"].endswith("."), path


def test_every_object_with_known_keys_refuses_others() -> None:
    open_to_others = {
        path
        for path, node in objects(SCHEMA)
        if "properties" in node and node.get("additionalProperties") is not False
    }
    assert open_to_others == {"global"}  # Helm hands every chart an umbrella chart's whole map


def test_every_default_is_commented_for_the_reader() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    leaves = [
        (before, line)
        for before, line in itertools.pairwise(lines)
        if line.lstrip().partition(": ")[2] and not line.lstrip().startswith("#")
    ]
    uncommented = [line for before, line in leaves if not before.lstrip().startswith("# -- ")]
    assert [line.split(":")[0].strip() for line in uncommented] == ["cpu", "memory"] * 6


def test_the_table_of_values_has_each_of_them_with_its_comment() -> None:
    rows = [
        line for line in (CHART / "values.md").read_text().splitlines() if line.startswith("| `")
    ]
    comments = [
        line.strip().removeprefix("# -- ").replace("|", "\\|")
        for line in (CHART / "values.yaml").read_text().splitlines()
        if line.strip().startswith("# -- ")
    ]
    assert [row.rsplit("` | ", 1)[1] for row in rows] == [f"{each} |" for each in comments]
    assert "| `operator.replicaCount` | `1` | Number of operators." in "\n".join(rows)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param({"replicas": 2}, "additional properties 'replicas' not allowed", id="unknown"),
        pytest.param(
            {"operator": {"replicas": 2}},
            "at '/operator': additional properties 'replicas' not allowed",
            id="unknown, deeper",
        ),
        pytest.param(
            {"operator": {"replicaCount": "2"}},
            "at '/operator/replicaCount': got string, want integer",
            id="a number in quotes",
        ),
        pytest.param(
            {"apiGateway": {"replicaCount": -1}},
            "at '/apiGateway/replicaCount': minimum: got -1, want 0",
            id="fewer than none",
        ),
        pytest.param(
            {"apiGateway": {"image": {"tag": 1.1}}},
            "at '/apiGateway/image/tag': got number, want string",
            id="a tag that YAML takes for a number",
        ),
        pytest.param(
            {"operator": {"image": {"digest": "0" * 64}}},
            "at '/operator/image/digest'",
            id="a digest without its algorithm",
        ),
        pytest.param(
            {"operator": {"image": {"pullPolicy": "ifNotPresent"}}},
            "value must be one of 'Always', 'IfNotPresent', 'Never'",
            id="pull policy",
        ),
        pytest.param(
            {"apiGateway": {"logging": {"level": "trace"}}},
            "value must be one of 'debug', 'info', 'warn', 'error'",
            id="log level",
        ),
        pytest.param(
            {"apiGateway": {"service": {"type": "LoadBalancer"}}},
            "value must be one of 'ClusterIP', 'NodePort'",
            id="service type",
        ),
        pytest.param(
            {"global": {"imagePullSecrets": ["pull"]}},
            "at '/global/imagePullSecrets/0': got string, want object",
            id="pull secret without name:",
        ),
        pytest.param(
            {"global": {"imageRegisty": "mirror"}},
            "global.imageRegisty is not known: Isola reads global.imageRegistry",
            id="misspelt global",
        ),
        pytest.param(
            {"sandboxNamespace": {"name": ""}},
            "sandboxNamespace.name is empty: name the namespace",
            id="no sandbox namespace",
        ),
        pytest.param(
            {"sandboxNamespace": {"name": "Sandboxes"}},
            "at '/sandboxNamespace/name'",
            id="no name for a namespace",
        ),
        pytest.param(
            {"sandboxNamespace": {"name": RELEASE_NAMESPACE}},
            "sandboxNamespace.name is the release namespace",
            id="control plane among the sandboxes",
        ),
        pytest.param(
            {"operator": {"sandboxRuntime": {"runtimeClassName": ""}}},
            "operator.sandboxRuntime.runtimeClassName is empty: name a RuntimeClass",
            id="no runtime class",
        ),
        pytest.param(
            {"operator": {"metrics": {"port": 8081}}},
            "operator.metrics.port is 8081, which is the probes' port",
            id="two servers on one port",
        ),
        pytest.param(
            {"operator": {"metrics": {"service": {"nodePort": 30080}}}},
            "set the type to NodePort",
            id="metrics: node port without its type",
        ),
        pytest.param(
            {"apiGateway": {"service": {"nodePort": 30080}}},
            "set the type to NodePort",
            id="gateway: node port without its type",
        ),
        pytest.param(
            {"egress": {"enabled": True, "ports": [443, 10042]}},
            "egress.ports holds 10042, on which the egress component answers itself",
            id="a port of the way out's own",
        ),
        pytest.param(
            {"egress": {"enabled": True, "serviceAccount": {"create": False}}},
            "egress.serviceAccount.create is false and egress.serviceAccount.name is empty",
            id="the way out without account",
        ),
        pytest.param({"egress": {"ports": [443, 443]}}, "/egress/ports", id="a port twice"),
        pytest.param({"egress": {"nameservers": ["dns.example"]}}, "egress", id="a name server"),
        pytest.param(
            {"sandboxNamespace": {"name": "kube-system"}},
            "a namespace of Kubernetes itself",
            id="sandboxes among the cluster's own pods",
        ),
        pytest.param(
            {"operator": {"metrics": {"port": 8089}}},
            "operator.metrics.port is 8089, by which sandboxes see",
            id="metrics at the canary",
        ),
        pytest.param(
            {"operator": {"metrics": {"port": 18255}}},
            "operator.metrics.port is 18255, by which sandboxes see",
            id="metrics at the last door",
        ),
        pytest.param(
            {"apiGateway": {"maxRequests": 100}},
            "apiGateway.maxRequestsPerSandbox is 256, more than apiGateway.maxRequests (100)",
            id="one sandbox may have more than all",
        ),
        pytest.param(
            {
                "apiGateway": {"service": {"type": "NodePort", "nodePort": 30080}},
                "operator": {"metrics": {"service": {"type": "NodePort", "nodePort": 30080}}},
            },
            "are both 30080",
            id="one port of the nodes for two",
        ),
        pytest.param(
            {"priorityClass": {"create": False, "name": "control"}},
            "name a class that exists in each component's priorityClassName",
            id="a priority class that nobody makes",
        ),
        pytest.param(
            {"priorityClass": {"value": 2_000_000_000}},
            "at '/priorityClass/value'",
            id="a priority that is the system's",
        ),
        *(
            pytest.param(
                {"networkPolicies": {"enabled": False, key: value}},
                f"networkPolicies.{key} is set, but networkPolicies.enabled is false",
                id=f"{key} without policies",
            )
            for key, value in {
                "apiServerCIDRs": ["192.0.2.0/24"],
                "storagePorts": [9000],
                "storageCIDRs": ["192.0.2.0/24"],
                "collectorPorts": [4318],
                "collectorCIDRs": ["192.0.2.0/24"],
                "gatewayFrom": [{"podSelector": {}}],
            }.items()
        ),
        pytest.param(
            {"networkPolicies": {"gatewayFrom": [{"podSelecter": {}}]}},
            "at '/networkPolicies/gatewayFrom/0'",
            id="a peer misspelt",
        ),
        pytest.param(
            {"networkPolicies": {"apiServerPorts": []}},
            "at '/networkPolicies/apiServerPorts'",
            id="no way to the API server",
        ),
        pytest.param(
            {
                "networkPolicies": {"gatewayFrom": [{"podSelector": {}}]},
                "apiGateway": {"service": {"type": "NodePort"}},
            },
            "give ranges (ipBlock), or set the type to ClusterIP",
            id="pods at a port of the nodes",
        ),
        pytest.param(
            {"operator": {"serviceAccount": {"create": False}}},
            "operator.serviceAccount.create is false and operator.serviceAccount.name is empty",
            id="operator without account",
        ),
        pytest.param(
            {"apiGateway": {"serviceAccount": {"create": False}}},
            "apiGateway.serviceAccount.create is false and apiGateway.serviceAccount.name is empty",
            id="gateway without account",
        ),
    ],
)
def test_a_bad_value_is_refused_with_a_reason(chart: Chart, values: Values, complaint: str) -> None:
    with pytest.raises(RefusedError) as refused:
        chart.render(values)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"global": {"storageClass": "fast"}}, id="an umbrella chart's global"),
        pytest.param({"operator": {"replicaCount": 0}}, id="operator stopped"),
        pytest.param(
            {"apiGateway": {"enabled": False, "serviceAccount": {"create": False}}},
            id="no account for a gateway that is off",
        ),
        pytest.param({"operator": {"resources": {"limits": {"cpu": 2}}}}, id="a whole processor"),
    ],
)
def test_what_makes_sense_is_accepted(chart: Chart, values: Values) -> None:
    assert chart.render(values).of("Deployment")


def test_chart_application_and_programs_carry_one_version() -> None:
    project = tomllib.loads((CHART.parent / "pyproject.toml").read_text())["project"]
    assert ABOUT["version"] == ABOUT["appVersion"] == project["version"]
