"""The way to the cluster: kubectl itself.

It brings contexts, every kind of authentication, proxies and the rights of whoever types, and
whoever has this plugin has it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isola_kubectl.errors import KubectlError
from isola_lifecycle import naming

Object = Mapping[str, Any]

SANDBOXES = f"{naming.PLURAL}.{naming.GROUP}"
RECORDS = f"{naming.RECORD_PLURAL}.{naming.GROUP}"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the flags that say which cluster and namespace.

    Attributes:
        flags: `--context=…` and the like, as given to us.
        program: Its name or path.
        quiet: Whether nobody is to read what it complains about.
    """

    flags: tuple[str, ...] = ()
    program: str = "kubectl"
    quiet: bool = False

    def sandbox(self, name: str) -> Object | None:
        """Return the Sandbox of that name, or None."""
        text = self.run("get", SANDBOXES, name, "--ignore-not-found", "--output=json")
        return json.loads(text) if text.strip() else None

    def sandboxes(self) -> list[Object]:
        """Return every Sandbox."""
        return json.loads(self.run("get", SANDBOXES, "--output=json"))["items"]

    def records(self, **labels: str) -> list[Object]:
        """Return the records with these labels: `name`, `uid`, or none for all."""
        keys = {"name": naming.SANDBOX.name_label, "uid": naming.SANDBOX.uid_label}
        selector = ",".join(f"{keys[key]}={value}" for key, value in labels.items() if value)
        return json.loads(self.run("get", RECORDS, f"--selector={selector}", "--output=json"))[
            "items"
        ]

    def listing(self, name: str = "") -> tuple[list[Object], str]:
        """Return the Sandboxes, or those of one name, and the version from which to watch them."""
        found = json.loads(self.run("get", f"--raw={self._path(name)}"))
        return found["items"], found["metadata"]["resourceVersion"]

    def watch(self, version: str, name: str = "") -> Iterator[Object]:
        """Yield the watch events after `version` until the API server ends the watch.

        Raises:
            KubectlError: The connection broke.
        """
        path = self._path(name, f"watch=true&resourceVersion={version}")
        with self._started("get", f"--raw={path}") as process:
            assert process.stdout  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    if line.endswith("\n"):  # one cut off in the middle comes again
                        yield json.loads(line)
                process.wait()
            finally:
                process.kill()
        self._judge(process)

    def run(self, *arguments: str) -> str:
        """Return what kubectl prints.

        Raises:
            KubectlError: It ended with an error, or is not there.
        """
        with self._started(*arguments) as process:
            output, _ = process.communicate()
        self._judge(process)
        return output

    def _path(self, name: str, query: str = "") -> str:
        template = "--output=jsonpath={.contexts[0].context.namespace}"
        given = [flag for flag in self.flags if flag.startswith("--namespace=")]
        namespace = given[-1].partition("=")[2] if given else ""
        namespace = namespace or self.run("config", "view", "--minify", template) or "default"
        only = f"&fieldSelector=metadata.name%3D{name}" if name else ""
        path = f"/apis/{naming.GROUP}/{naming.VERSION}/namespaces/{namespace}/{naming.PLURAL}"
        return f"{path}?{query}{only}"

    def _started(self, *arguments: str) -> subprocess.Popen[str]:
        command = [self.program, *self.flags, *arguments]
        # Its stderr goes where ours goes: one that logs in may have to ask for something.
        stderr = subprocess.DEVNULL if self.quiet else None
        try:
            return subprocess.Popen(  # noqa: S603 - kubectl is the point
                command, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8", errors="replace"
            )
        except OSError as error:
            raise KubectlError(
                f"{self.program} cannot be run ({error.strerror}): install kubectl, put it on the"
                " PATH, or set KUBECTL to where it is"
            ) from error

    def _judge(self, process: subprocess.Popen[str]) -> None:
        if process.returncode:
            raise KubectlError(
                f"{self.program} ended with code {process.returncode}; it says why above"
            )
