from __future__ import annotations

import pytest

from endplate import evidence


@pytest.fixture
def clinic(tmp_path):
    """The shipped evidence with a clinic's own file over it, given as the file's text."""

    def of(text):
        path = tmp_path / "clinic.toml"
        path.write_text(f'clinic = "Spine clinic"\n{text}', encoding="utf-8")
        return evidence.with_clinic_file(evidence.shipped(), path)

    return of
