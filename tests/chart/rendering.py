"""The chart as Helm renders it, and what the tests ask of the result."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "chart"
RELEASE_NAMESPACE = "isola-system"
SANDBOX_NAMESPACE = "isola-sandboxes"
NODE_NAMESPACE = "isola-nodes"
ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
MONITORING = "monitoring.coreos.com/v1"
VERSION: str = ABOUT["appVersion"]
SHIPPED_CRDS = tuple(sorted((CHART / "files" / "crds").glob("*.yaml")))

Manifest = dict[str, Any]
Values = Mapping[str, Any]


class RefusedError(Exception):
    """Helm would not do it; the message is what the person at the terminal reads."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """Everything one rendering amounts to."""

    items: tuple[Manifest, ...]

    def of(self, kind: str) -> list[Manifest]:
        """Return all manifests of a kind."""
        return [item for item in self.items if item["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest:
        """Return the one manifest of that kind and name."""
        (found,) = (item for item in self.of(kind) if item["metadata"]["name"] == name)
        return found

    def pod_specs(self) -> dict[str, Manifest]:
        """Return the pod spec of whatever runs pods, by name of the workload."""
        workloads = {
            item["metadata"]["name"]: item["spec"]["template"]["spec"]
            for kind in ("Deployment", "DaemonSet")
            for item in self.of(kind)
        }
        timed = {
            item["metadata"]["name"]: item["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            for item in self.of("CronJob")
        }
        pods = {pod["metadata"]["name"]: pod["spec"] for pod in self.of("Pod")}
        return workloads | timed | pods

    def environment(self, deployment: str) -> dict[str, str | None]:
        """Return a Deployment's variables; what comes by reference is None."""
        (container,) = self.pod_specs()[deployment]["containers"]
        return {variable["name"]: variable.get("value") for variable in container["env"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart folder, the Helm that reads it, and the cluster that it may talk to: none.

    That cluster has the Prometheus operator where it is `monitored`.
    """

    helm: Path
    home: Path
    folder: Path = CHART
    kubeconfig: str = os.devnull
    monitored: bool = False

    def render(
        self,
        values: Values | None = None,
        *,
        release: str = "isola",
        namespace: str = RELEASE_NAMESPACE,
    ) -> Manifests:
        """Return the manifests for these values.

        Raises:
            RefusedError: Schema or template did not accept the values.
        """
        apis = ("--api-versions", MONITORING) if self.monitored else ()
        text = self.run("template", release, ".", "--namespace", namespace, *apis, values=values)
        return Manifests(tuple(item for item in yaml.safe_load_all(text) if item))

    def notes(self, values: Values | None = None) -> str:
        """Return what an installation prints at its end."""
        command = ("install", "isola", ".", "--namespace", RELEASE_NAMESPACE, "--dry-run=client")
        _, _, notes = self.run(*command, values=values).partition("\nNOTES:\n")
        return notes

    def run(self, *arguments: str, values: Values | None = None) -> str:
        """Return what Helm prints.

        Raises:
            RefusedError: Helm ended with an error.
        """
        given = () if values is None else ("--values", "-")
        done = subprocess.run(
            [self.helm, *arguments, *given],
            cwd=self.folder,
            input=json.dumps(values or {}),
            env=os.environ | {"HOME": str(self.home), "KUBECONFIG": self.kubeconfig},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stdout


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Say whether equality-based `selector` matches `labels`."""
    return selector.items() <= labels.items()
