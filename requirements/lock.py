"""Renews the pins and their metadata.

`python -m requirements.lock` keeps the releases that still fit. It passes its arguments to uv:
`--upgrade` takes the newest releases, `-P name` the newest release of one package.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from . import closure, install
from .closure import EXTRAS, GROUPS, RECORD, ROOT, Environment, Pin

COMPILE = (
    "--quiet",
    "--universal",
    "--python-version=3.11",
    "--only-binary=:all:",
    "--generate-hashes",
    "--custom-compile-command=make lock",
)
REPORT = (
    "--quiet",
    "--dry-run",
    "--ignore-installed",
    "--no-deps",
    "--only-binary=:all:",
    "--require-hashes",
)

# pip's names of the platforms.
TAGS = {"linux": "manylinux_2_28_x86_64", "darwin": "macosx_14_0_arm64", "win32": "win_amd64"}

# The variables by which uv reaches the index that pip reaches.
UV_ACCESS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_PROXY": "ALL_PROXY",
}


def main(arguments: Sequence[str]) -> int:
    """Renew every file, record the metadata and check both. Returns the exit status."""
    variables = one_index()
    try:
        compile_pins(arguments, variables)
        record_metadata(variables)
    except subprocess.CalledProcessError as error:
        return error.returncode
    return closure.main()


def one_index() -> dict[str, str]:
    """Configure pip and uv with the main index of this machine alone.

    Its other indexes and its folders must not end up in the hashes.
    """
    others = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")
    variables = {
        k: v
        for k, v in install.environment(sys.executable).items()
        if k not in others and not k.startswith("UV_")
    }
    return variables | {UV_ACCESS[k]: v for k, v in variables.items() if k in UV_ACCESS}


def compile_pins(arguments: Sequence[str], variables: Mapping[str, str]) -> None:
    """Resolve each file once for all Pythons and platforms."""
    above: list[str] = []
    for name, extras in EXTRAS.items():
        file = f"requirements/{name}.txt"
        options = [
            *(f"--extra={extra}" for extra in extras),
            "--group=build",
            *above,
            "pyproject.toml",
        ]
        compile_file(file, [*options, *arguments], variables)
        above = [f"--constraints={file}"]
    for name in GROUPS:
        options = [f"--group={name}", *arguments]
        compile_file(f"requirements/{name}.txt", options, variables)


def compile_file(file: str, options: Sequence[str], variables: Mapping[str, str]) -> None:
    """Resolve one file."""
    command = ["uv", "--no-config", "pip", "compile", *COMPILE, f"--output-file={file}", *options]
    run(command, variables)


def record_metadata(variables: Mapping[str, str]) -> None:
    """Write down what each release requires. pip reads it without downloading the wheels."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    record: dict[str, list[str]] = {}
    for name in (*EXTRAS, *GROUPS):  # two files may pin two releases of one package
        pins = closure.read_pins((ROOT / "requirements" / f"{name}.txt").read_text())
        for target in closure.supported(project):
            new = {
                str(pin): pin
                for pin in pins
                if str(pin) not in record and target.holds(pin.requirement.marker)
            }
            if new:
                record |= dict(requirements_of(new.values(), target, variables))
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def requirements_of(
    pins: Collection[Pin], target: Environment, variables: Mapping[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Ask the index what releases require."""
    releases = {pin.name: str(pin) for pin in pins}
    lines = [" --hash=".join([str(pin), *pin.hashes]) for pin in pins]
    platform = target.platform[0]
    foreign = [] if platform == sys.platform else [f"--platform={TAGS[platform]}"]
    with TemporaryDirectory() as folder:
        file, report = Path(folder, "pins.txt"), Path(folder, "report.json")
        file.write_text("\n".join(lines))
        python = target.python.rpartition(".")[0]
        options = [f"--python-version={python}", *foreign, f"--report={report}"]
        run(["pip", "install", *REPORT, *options, f"--requirement={file}"], variables)
        for item in json.loads(report.read_text())["install"]:
            metadata = item["metadata"]
            required = [str(Requirement(line)) for line in metadata.get("requires_dist", ())]
            yield releases[canonicalize_name(metadata["name"])], required


def run(module: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a module that explains its own failure."""
    command = [sys.executable, "-m", *module]
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, check=True)  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
