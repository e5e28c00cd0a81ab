"""Resolution of the pins from one index."""

import pytest

from requirements.lock import one_index


def test_other_indexes_of_the_machine_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, "/elsewhere")
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_DEFAULT_INDEX", "PYTHONPATH"):
        monkeypatch.setenv(name, "/elsewhere")
    assert "/elsewhere" not in one_index().values()


def test_uv_uses_the_index_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example")
    monkeypatch.setenv("PIP_CERT", "/etc/ca.pem")
    variables = one_index()
    assert variables["PIP_INDEX_URL"] == variables["UV_DEFAULT_INDEX"] == "https://index.example"
    assert variables["PIP_CERT"] == variables["SSL_CERT_FILE"] == "/etc/ca.pem"
