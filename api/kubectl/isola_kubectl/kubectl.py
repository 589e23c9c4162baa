"""The way to the cluster: kubectl itself.

It brings contexts, every kind of authentication, proxies and the rights of whoever types, and
whoever has this plugin has it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isola_kubectl.errors import KubectlError

Object = Mapping[str, Any]


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

    def run(self, *arguments: str) -> str:
        """Return what kubectl prints.

        Raises:
            KubectlError: It ended with an error, or is not there.
        """
        with self._started(*arguments) as process:
            output, _ = process.communicate()
        self._judge(process)
        return output

    def lines(self, *arguments: str) -> Iterator[str]:
        """Yield whole lines that kubectl prints, as they come, until it ends.

        Raises:
            KubectlError: It ended with an error, or is not there.
        """
        with self._started(*arguments) as process:
            assert process.stdout  # noqa: S101 - it is a pipe
            try:
                for line in process.stdout:
                    if line.endswith("\n"):  # one cut off in the middle comes again
                        yield line
                process.wait()
            finally:
                process.kill()
        self._judge(process)

    def namespace(self) -> str:
        """Return the namespace that is looked into."""
        template = "--output=jsonpath={.contexts[0].context.namespace}"
        given = [flag for flag in self.flags if flag.startswith("--namespace=")]
        named = given[-1].partition("=")[2] if given else ""
        return named or self.run("config", "view", "--minify", template) or "default"

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
