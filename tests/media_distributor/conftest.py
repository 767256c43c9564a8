"""Certificates of a Media Distributor and its neighbours."""

from __future__ import annotations

import pytest

from halfkey.pki import make_certificate
from tests.key_distributor.helpers import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    return Certificates(*(make_certificate(folder, one) for one in ("kd", "md", "focus", "other")))
