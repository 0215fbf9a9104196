"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside a developer's checkout; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data beside the checkout (../shared/data)")
    return SHARED
