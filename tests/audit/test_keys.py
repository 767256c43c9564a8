"""The key files."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfkey.audit.keys import load_key, load_public_key, make_key, public_pem
from halfkey.errors import ConfigurationError
from halfkey.pki import make_certificate


def test_a_key_is_its_owner_s_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    made = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).private_bytes_raw() == made.private_bytes_raw()
    (tmp_path / "public.pem").write_bytes(public_pem(made.public_key()))
    read = load_public_key(tmp_path / "public.pem")
    assert read.public_bytes_raw() == made.public_key().public_bytes_raw()


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    before = make_key(path).private_bytes_raw()
    with pytest.raises(ConfigurationError, match="File exists"):
        make_key(path)
    assert load_key(path).private_bytes_raw() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reads", [load_key, load_public_key])
def test_files_without_such_a_key(tmp_path: Path, reads: type) -> None:
    certificate, elliptic = make_certificate(tmp_path, "kd")
    (tmp_path / "empty").touch()
    for path in (certificate, elliptic, tmp_path / "empty", tmp_path / "none", tmp_path):
        with pytest.raises(ConfigurationError, match=r"; name .*") as refused:
            reads(path)
        assert str(refused.value).startswith(f"{path}: ")
        assert "\n" not in str(refused.value)
