"""Our programs as the chart has them run: with its variables, as its service accounts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from chart.rendering import RELEASE_NAMESPACE, Manifest, Manifests
from support.kubernetes_server import ApiServer
from support.program import Program

# What a program needs of the cluster to be somebody there.
_KINDS = {
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Service",
}


class Use(NamedTuple):
    """What one asks of the API server, or may ask: a verb of a resource in a namespace."""

    namespace: str
    resource: str
    verb: str


@dataclass
class Accounts:
    """The accounts of an installation on an API server.

    Attributes:
        server: The API server.
        manifests: What is installed.
        folder: Where credentials and logs go.
        programs: What runs.
        seen: How much of the audit log is of others, before these accounts.
    """

    server: ApiServer
    manifests: Manifests
    folder: Path
    programs: list[Program] = field(default_factory=list[Program])
    seen: int = 0

    def install(self) -> None:
        """Create the accounts with their rights, and the namespaces that they are in."""
        self.seen = len(self._audit())
        for name in sorted({item["metadata"].get("namespace", "") for item in self._needed}):
            if name:
                namespace = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}
                self._kubectl("apply", stdin=json.dumps(namespace))
        self._kubectl("apply", stdin=self._text)

    def remove(self) -> None:
        """End the programs, and take the accounts away."""
        for each in self.programs:
            each.kill()
        self._kubectl("delete", stdin=self._text)

    def kubeconfig(self, account: str, namespace: str) -> str:
        """Return a file with the credentials of a service account."""
        token = self.server.run_kubectl("create", "token", account, f"--namespace={namespace}")
        assert token.returncode == 0, token.stderr
        config = yaml.safe_load(self.server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token.stdout.strip()}
        path = self.folder / f"{account}.kubeconfig"
        path.write_text(json.dumps(config))
        return str(path)

    def program(self, module: str, workload: str, **changes: str) -> Program:
        """Start a program with the variables of a workload's pod, but for `changes`.

        Those that a pod has by reference are among these, or are left out; so are empty ones.
        """
        spec = self.manifests.pod_specs()[workload]
        (container,) = spec["containers"]
        given = {each["name"]: each.get("value", "") for each in container["env"]}
        where = self._namespace_of(spec["serviceAccountName"])
        kubeconfig = self.kubeconfig(spec["serviceAccountName"], where)
        known = {
            "ISOLA_KUBECONFIG": kubeconfig,
            "KUBECONFIG": kubeconfig,
            "ISOLA_NAMESPACE": RELEASE_NAMESPACE,
        }
        environment = {k: v for k, v in (given | known | changes).items() if v}
        made = Program(module, environment, self.folder / f"{workload}.log")
        made.start()
        self.programs.append(made)
        return made

    def used(self) -> dict[str, set[Use]]:
        """Return what each account has asked of the API server.

        Raises:
            AssertionError: Something was refused that is not granted.
        """
        found: dict[str, set[Use]] = {}
        for line in self._audit()[self.seen :]:
            event = json.loads(line)
            name = event["user"]["username"].rpartition(":")[2]
            asked = event.get("objectRef")
            if not asked:
                continue
            assert event.get("responseStatus", {}).get("code") != 403, event
            resource = "/".join(filter(None, (asked["resource"], asked.get("subresource", ""))))
            found.setdefault(name, set()).add(
                Use(asked.get("namespace", ""), resource, event["verb"])
            )
        return found

    def granted(self) -> dict[str, set[Use]]:
        """Return what each account may ask."""
        found: dict[str, set[Use]] = {}
        for kind in ("Role", "ClusterRole"):
            for binding in self.manifests.of(f"{kind}Binding"):
                role = self._role(kind, binding)
                uses = {
                    Use(role["metadata"].get("namespace", ""), resource, verb)
                    for rule in role["rules"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
                for subject in binding["subjects"]:
                    found.setdefault(subject["name"], set()).update(uses)
        return found

    def _audit(self) -> list[str]:
        audit = self.server.audit
        # The API server makes the file when there is something to write; its last line may be half.
        return audit.read_text().rpartition("\n")[0].splitlines() if audit.exists() else []

    def _role(self, kind: str, binding: Manifest) -> Manifest:
        (role,) = (
            item
            for item in self.manifests.of(kind)
            if item["metadata"]["name"] == binding["roleRef"]["name"]
            and item["metadata"].get("namespace") == binding["metadata"].get("namespace")
        )
        return role

    def _namespace_of(self, account: str) -> str:
        return self.manifests.named("ServiceAccount", account)["metadata"]["namespace"]

    @property
    def _needed(self) -> list[Manifest]:
        return [item for item in self.manifests.items if item["kind"] in _KINDS]

    @property
    def _text(self) -> str:
        return yaml.safe_dump_all(self._needed)

    def _kubectl(self, verb: str, *, stdin: str) -> None:
        done = self.server.run_kubectl(verb, "--filename=-", stdin=stdin)
        assert done.returncode == 0, done.stderr
