"""Fixtures of the SDK's tests."""

from __future__ import annotations

import pytest
from tests.sdk.agent_twin import Twin


@pytest.fixture(params=["sync", "async"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each test that takes it runs once with `Agent` and once with `AsyncAgent`."""
    return Twin(request.param == "async")
