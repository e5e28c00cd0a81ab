"""Installation: settings of pip, and errors with remedies."""

import sys
from pathlib import Path

import pytest

from requirements.install import InstallError, index_access, main, run

LISTED = """\
global.constraint='/etc/constraints.txt'
global.extra-index-url='\\nfile:///one\\nfile:///two'
global.index-url='https://global.example'
global.target='/elsewhere'
install.index-url='https://install.example'
install.no-binary=':all:'
WARNING: noise
"""


def test_only_index_settings_of_pip_are_kept() -> None:
    assert index_access(LISTED, {}) == {
        "PIP_EXTRA_INDEX_URL": "file:///one file:///two",
        "PIP_INDEX_URL": "https://install.example",
    }


def test_environment_variable_takes_precedence_over_a_file() -> None:
    variables = {
        "PIP_INDEX_URL": "https://variable.example",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_CERT": "/etc/ca.pem",
        "PIP_USER": "1",
        "PIP_TARGET": "/elsewhere",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_CONSTRAINT": "/etc/constraints.txt",
        "HOME": "/root",
    }
    assert index_access(LISTED, variables) == {
        "PIP_CERT": "/etc/ca.pem",
        "PIP_EXTRA_INDEX_URL": "file:///one file:///two",
        "PIP_INDEX_URL": "https://variable.example",
    }


NOISE = """\
WARNING: Location 'file:///nowhere' is ignored: it is neither a file nor a directory.
ERROR: Ignored the following versions that require a different python version: 2.0
WARNING: {}
"""


@pytest.mark.parametrize(
    ("warning", "error", "remedy"),
    [
        (
            "Retrying (Retry(total=4)) after connection broken by 'ProxyError'",
            "ERROR: No matching distribution found for a==1",
            "pip cannot reach its package index: check the network",
        ),
        (
            "",
            "ERROR: No matching distribution found for a==1",
            "The index has no wheel of that release for this Python and this machine:",
        ),
        (
            "",
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    a==1:\n        Got bb",
            "The index sent another file than the pinned one: run `pip cache purge`",
        ),
        (
            "",
            "ERROR: Could not install: [Errno 28] No space left on device",
            "Make room on the disk and repeat the command.",
        ),
        (
            "",
            "error: subprocess-exited-with-error",
            "Repeat the command; if it fails again, read the log.",
        ),
    ],
)
def test_error_of_pip_has_a_remedy(tmp_path: Path, warning: str, error: str, remedy: str) -> None:
    output = f"{NOISE.format(warning)}{error}\nINFO: noise\n"
    fails = f"import sys; sys.stderr.write({output!r}); sys.exit(1)"
    with pytest.raises(InstallError) as raised:
        run(tmp_path, [sys.executable, "-c", fails], {})
    log = tmp_path / "install.log"
    assert output in log.read_text()
    message, _, last = str(raised.value).rpartition("\n")
    assert message == error
    assert last.startswith(remedy)
    assert last.endswith(f" All output: {log}")


def test_error_of_pip_check_is_reported(tmp_path: Path) -> None:
    fails = "import sys; print('a 1 requires b, which is not installed.'); sys.exit(1)"
    with pytest.raises(InstallError) as raised:
        run(tmp_path, [sys.executable, "-c", fails], {})
    assert str(raised.value).splitlines() == [
        "a 1 requires b, which is not installed.",
        f"The pins do not fit pyproject.toml: run `make lock`. All output: {tmp_path}/install.log",
    ]


@pytest.mark.parametrize(
    ("version", "output"),
    [
        ("2.0", "fastapi 1.0 -> 2.0\nnew none -> 1.0\n"),
        ("1.0", "The installed releases are the newest.\n"),
    ],
)
def test_the_newest_releases_are_listed(
    version: str,
    output: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def install(name: str, version: str) -> None:
        folder = tmp_path / "lib/python3.11/site-packages" / f"{name}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")

    def pip(folder: Path, command: str, *arguments: str) -> None:
        assert (folder, command) == (tmp_path, "install")
        assert {"--upgrade", "fastapi", "sqlalchemy"} <= {*arguments}
        install("fastapi", version)
        if version == "2.0":
            install("new", "1.0")

    install("fastapi", "1.0")
    install("pytest", "9.2")
    monkeypatch.setattr("requirements.install.pip", pip)
    assert main("latest", tmp_path, Path()) == 0
    assert capsys.readouterr().out == output


def test_old_python_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 10, 9))
    monkeypatch.setattr("sys.executable", "/usr/bin/python3")
    assert main("pins", tmp_path / "venv", tmp_path / "a.txt") == 1
    assert capsys.readouterr().err == (
        "Brickwork needs Python 3.11 or newer, and /usr/bin/python3 is older: install one and"
        " name it, as in PYTHON=python3.13.\n"
    )


def test_python_without_venv_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert main("pins", tmp_path / "venv", tmp_path / "a.txt") == 1
    assert "Debian: apt-get install python3-venv" in capsys.readouterr().err
