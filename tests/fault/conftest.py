"""The keys and storage servers that routers under fault stand on."""

from __future__ import annotations

from tests.e2e.conftest import ground, pytest_runtest_makereport

__all__ = ["ground", "pytest_runtest_makereport"]
