"""The project in the working directory."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.model_source import Target
from brickwork.scaffold.names import Names
from brickwork.scaffold.python_source import bound_names, parse_source, read_source


@dataclass(frozen=True)
class Project:
    """A project that `brickwork new` made."""

    folder: Path
    package: str

    @property
    def source(self) -> Path:
        """Return the folder of the package."""
        return self.folder / self.package

    @property
    def routers(self) -> Path:
        """Return the path of the list of resources."""
        return self.source / "routers.py"

    def tests_of(self, plural: str) -> Path:
        """Return the path of the tests of a resource."""
        return self.folder / "tests" / f"test_{plural}.py"

    @property
    def has_protected_resource(self) -> bool:
        """Return whether `resource.py` defines or imports the class of every resource."""
        return "ProtectedResource" in bound_names(_tree(self.source / "resource.py"))

    def models(self) -> Iterator[tuple[str, ast.ClassDef]]:
        """Yield the packages and the classes of the models."""
        for path in sorted(self.source.glob("*/models.py")):
            for node in _tree(path).body:
                if isinstance(node, ast.ClassDef):
                    yield path.parent.name, node

    def find_target(self, model: str) -> Target | None:
        """Return the *model* that a reference names. None if there is no such resource.

        Raises:
            ScaffoldError: Its key is not the UUID of an `Entity`.

        """
        for plural, node in self.models():
            if node.name == model:
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if "Entity" not in bases:
                    raise ScaffoldError(
                        f"{model} is no Entity, so that its key may be no UUID: add the foreign "
                        "key by hand."
                    )
                return Target(Names(model, plural), "SoftDelete" in bases)
        return None

    def has_creator(self, target: Names) -> bool:
        """Return whether the tests of *target* have a function that creates a row."""
        return f"create_{target.variable}" in bound_names(_tree(self.tests_of(target.plural)))


def find_project(folder: Path) -> Project:
    """Return the project in *folder*.

    Raises:
        ScaffoldError: There is none.

    """
    packages = sorted(path.parent.name for path in folder.glob("*/routers.py"))
    packages = [name for name in packages if (folder / name / "settings.py").exists()]
    if len(packages) != 1:
        raise ScaffoldError(
            f"There is no project in {folder}: run the command in the folder that brickwork new "
            "made. It has a package with routers.py and settings.py."
        )
    return Project(folder, packages[0])


def _tree(path: Path) -> ast.Module:
    """Return the syntax tree of the file at *path*. It is empty without a file."""
    if not path.exists():
        return ast.Module([], [])
    return parse_source(read_source(path), path)
