"""Checks that the pins are complete.

`python -m requirements.closure` reads pyproject.toml, the pins and the metadata that `make lock`
recorded. It needs no network and none of the packages.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from typing_extensions import override

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "requirements" / "metadata.json"

# Each file pins the dependencies, the build tools and these extras, and agrees with the file above.
EXTRAS: Mapping[str, Sequence[str]] = {
    "run": ("postgresql", "sqlite", "service", "cli"),
    "dev": ("postgresql", "sqlite", "service", "cli", "testing", "dev"),
    "bench": ("postgresql", "sqlite", "service", "bench"),
}

# Each file pins the dependency group of its name alone, for an environment without the project.
GROUPS = ("client", "docs")

# sys_platform, platform_system, os_name and platform_machine of markers.
PLATFORMS = (
    ("linux", "Linux", "posix", "x86_64"),
    ("linux", "Linux", "posix", "aarch64"),
    ("darwin", "Darwin", "posix", "x86_64"),
    ("darwin", "Darwin", "posix", "arm64"),
    ("win32", "Windows", "nt", "AMD64"),
)

# The requirements of each release, as in "starlette==1.10.0".
Metadata = Mapping[str, Sequence[Requirement]]


@dataclass(frozen=True)
class Environment:
    """A Python on a platform."""

    python: str
    platform: tuple[str, str, str, str] = PLATFORMS[0]

    @override
    def __str__(self) -> str:
        """Name the environment for people."""
        return f"Python {self.python} on {self.platform[0]} {self.platform[3]}"

    @cache  # noqa: B019 - a process checks once
    def holds(self, marker: Marker | None, extra: str = "") -> bool:
        """Evaluate a marker. A requirement without a marker always holds."""
        sys_platform, platform_system, os_name, platform_machine = self.platform
        return marker is None or marker.evaluate(
            {
                "extra": extra,
                "implementation_name": "cpython",
                "implementation_version": self.python,
                "os_name": os_name,
                "platform_machine": platform_machine,
                "platform_python_implementation": "CPython",
                "platform_system": platform_system,
                "python_full_version": self.python,
                "python_version": self.python.rpartition(".")[0],
                "sys_platform": sys_platform,
            }
        )


@dataclass(frozen=True)
class Pin:
    """A release of a package, with the hashes of its distributions."""

    requirement: Requirement
    hashes: Sequence[str]

    @property
    def name(self) -> str:
        """Return the normalized name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """Return the version."""
        return str(self.requirement.specifier).removeprefix("==")

    @override
    def __str__(self) -> str:
        """Name the release."""
        return f"{self.name}=={self.version}"


def main() -> int:
    """Check every file. Returns the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    recorded = RECORD.read_text()
    environments = supported(project)
    found = [f"requirements/metadata.json: {fault}" for fault in addresses(recorded)]
    for name, required in required_by_file(project).items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        new = faults(text, required, read_metadata(recorded), environments)
        found += [f"requirements/{name}.txt: {fault}" for fault in new]
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("The pins are not complete: run `make lock`.", file=sys.stderr)
        return 1
    print(f"The pins are complete in {len(environments)} environments.")
    return 0


def supported(project: Mapping[str, Any]) -> list[Environment]:
    """List the environments: the first and the last patch of each Python, on each platform."""
    prefix = "Programming Language :: Python :: "
    pythons = [c.removeprefix(prefix) for c in project["project"]["classifiers"] if prefix in c]
    patches = [f"{python}.{patch}" for python in pythons for patch in (0, 99)]
    return [Environment(python, platform) for python, platform in product(patches, PLATFORMS)]


def required_by_file(project: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """Collect what pyproject.toml requires for each file, by name."""
    groups = project["dependency-groups"]
    required = {name: roots(project, extras) for name, extras in EXTRAS.items()}
    return required | {name: [Requirement(line) for line in groups[name]] for name in GROUPS}


def roots(project: Mapping[str, Any], extras: Sequence[str]) -> list[Requirement]:
    """Collect what pyproject.toml requires for a file with the project."""
    optional = project["project"]["optional-dependencies"]
    lists = [
        project["project"]["dependencies"],
        project["build-system"]["requires"],
        project["dependency-groups"]["build"],
        *(optional[extra] for extra in extras),
    ]
    return [Requirement(line) for lines in lists for line in lines]


def read_metadata(text: str) -> Metadata:
    """Read the recorded metadata."""
    return {
        release: [Requirement(line) for line in lines]
        for release, lines in json.loads(text).items()
    }


def read_pins(text: str) -> list[Pin]:
    """Read the pins of a file. A line that is no requirement raises InvalidRequirement."""
    lines = re.sub(r"\\\n|^\s*#.*", "", text, flags=re.MULTILINE).splitlines()
    pins: list[Pin] = []
    for line in filter(str.strip, lines):
        requirement, *hashes = (part.strip() for part in line.split("--hash="))
        pins.append(Pin(Requirement(requirement), hashes))
    return pins


def faults(
    text: str,
    required: Sequence[Requirement],
    metadata: Metadata,
    environments: Sequence[Environment],
) -> list[str]:
    """Find what makes a file incomplete. An empty list means that pip can install it."""
    if found := addresses(text):
        return found
    try:
        pins = read_pins(text)
    except InvalidRequirement as error:
        return [f"has a line that is no pin: {error}"]
    places = {f"{pin} has no hash": "" for pin in pins if not pin.hashes}
    for environment in environments:
        for fault in incomplete(environment, pins, required, metadata):
            places.setdefault(fault, f" ({environment})")
    return [fault + place for fault, place in places.items()]


def addresses(text: str) -> list[str]:
    """Find what would make pip ask another place than the machine's index."""
    found: list[str] = re.findall(r'^-.*|[^\s"]+://[^\s"]+', text, re.MULTILINE)
    return [f"names an address or an option: {each}" for each in found]


def incomplete(
    environment: Environment,
    pins: Sequence[Pin],
    required: Sequence[Requirement],
    metadata: Metadata,
) -> Iterator[str]:
    """Compare the pins of one environment with the closure of its requirements."""
    active = [pin for pin in pins if environment.holds(pin.requirement.marker)]
    by_name = {pin.name: pin for pin in active}
    needed: set[str] = set()
    for source, requirement in closure(environment, by_name, required, metadata):
        name = canonicalize_name(requirement.name)
        needed.add(name)
        if name not in by_name:
            yield f"{source} requires {requirement}, which is not pinned"
        elif not requirement.specifier.contains(by_name[name].version, prereleases=True):
            yield f"{source} requires {requirement}, but {by_name[name]} is pinned"
    for pin in active:
        if by_name[pin.name] is not pin:
            yield f"{pin.name} is pinned twice"
        elif pin.name not in needed:
            yield f"nothing requires {pin}"
        elif str(pin) not in metadata:
            yield f"metadata.json does not know {pin}"


def closure(
    environment: Environment,
    pins: Mapping[str, Pin],
    required: Sequence[Requirement],
    metadata: Metadata,
) -> Iterator[tuple[str, Requirement]]:
    """Follow the requirements to their end. Each comes with the release that has it."""
    waiting = [("pyproject.toml", each) for each in required if environment.holds(each.marker)]
    expanded: set[tuple[str, str]] = set()
    while waiting:
        source, requirement = waiting.pop()
        yield source, requirement
        release = str(pins.get(canonicalize_name(requirement.name)))
        for extra in {"", *requirement.extras}:
            if (release, extra) not in expanded:
                expanded.add((release, extra))
                waiting += [
                    (release, each)
                    for each in metadata.get(release, ())
                    if environment.holds(each.marker, extra)
                ]


if __name__ == "__main__":
    sys.exit(main())
