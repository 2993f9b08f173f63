"""Every test here leaves nothing behind."""

from __future__ import annotations

import pytest
from tests.leaks import leak_check as leak_check


@pytest.fixture(autouse=True)
def leaves_nothing(leak_check: None) -> None:
    """Autouse, and the first that is set up: what other fixtures hold is gone when it looks."""
