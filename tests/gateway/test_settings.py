"""The environment, and what is said when it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from isola_gateway.admission import Limits
from isola_gateway.settings import Settings, settings_from
from isola_process.environment import SettingsError

NAMESPACE = {"ISOLA_SANDBOX_NAMESPACE": "isola-sandboxes"}


def test_only_the_namespace_has_no_default() -> None:
    assert settings_from(NAMESPACE) == Settings(
        namespace="isola-sandboxes", port=8080, log_level="info", dev_mode=False
    )


def test_everything_can_be_set() -> None:
    environment = NAMESPACE | {
        "ISOLA_HTTP_PORT": "9090",
        "ISOLA_LOG_LEVEL": "debug",
        "ISOLA_DEV_MODE": "true",
        "ISOLA_UI": "false",
        "ISOLA_VERSION": "v1.2.3",
        "ISOLA_MAX_REQUESTS": "100",
        "ISOLA_MAX_REQUESTS_PER_SANDBOX": "10",
    }
    assert settings_from(environment) == Settings(
        namespace="isola-sandboxes",
        port=9090,
        log_level="debug",
        dev_mode=True,
        ui=False,
        version="v1.2.3",
        limits=Limits(requests=100, sandbox_requests=10),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLA_SANDBOX_NAMESPACE", ""),
        ("ISOLA_HTTP_PORT", "http"),
        ("ISOLA_HTTP_PORT", "0"),
        ("ISOLA_HTTP_PORT", "65536"),
        ("ISOLA_LOG_LEVEL", "loud"),
        ("ISOLA_MAX_REQUESTS", "many"),
        ("ISOLA_MAX_REQUESTS", "3"),
        ("ISOLA_MAX_REQUESTS_PER_SANDBOX", "0"),
        ("ISOLA_DEV_MODE", "maybe"),
        ("ISOLA_UI", "maybe"),
    ],
)
def test_a_wrong_value_is_told_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings_from(NAMESPACE | {name: value})


def test_a_wrong_setting_ends_the_process_with_code_2_and_one_line() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ISOLA_")}
    ended = subprocess.run(
        [sys.executable, "-m", "isola_gateway"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "ISOLA_SANDBOX_NAMESPACE" in ended.stderr
