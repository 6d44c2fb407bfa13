"""Engines are started once for the whole run and stopped at its end."""

import pytest

from vecferry.testing import engines


def pytest_configure(config: pytest.Config) -> None:
    engines.begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    engines.end_run()
