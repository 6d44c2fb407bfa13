"""Engines are started once for the whole run and stopped at its end."""

import os

import pytest
from hypothesis import HealthCheck, settings

from vecferry.testing import engines

# A loaded machine is slow, which is no failure. CI looks at the same examples every time;
# on a developer's machine new ones are looked for.
settings.register_profile(
    "vecferry",
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("vecferry")


def pytest_configure(config: pytest.Config) -> None:
    engines.begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    engines.end_run()
