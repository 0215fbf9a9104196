"""What all tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared" / "data"

# A shell that starts the tests in the background has Ctrl-C ignored, and programs inherit that
# from the tests; those that are to hear Ctrl-C could not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside a developer's checkout; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the real data beside the checkout (../shared/data)")
    return SHARED
