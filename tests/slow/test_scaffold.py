"""A project from the wheel, in an environment of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import make_url

from requirements.install import environment
from tests.support.databases import Databases
from tests.support.pages import ROOT
from tests.support.processes import running_project

pytestmark = pytest.mark.both_paths  # its processes choose

EXTRAS = "cli,postgresql,service,sqlite,testing"
TOOLS = ("mypy",)

EVERY_TYPE = (
    *("name:str", "sku:str(20):unique", "notes:text?", "stock:int:default=0", "size:bigint"),
    *("weight:float?", "active:bool:default=true:index", "price:decimal(10,2):default=0.50"),
    *("made_on:date", "sold_at:datetime?", "opens:time", "code:uuid:unique", "extra:json?"),
    *("status:enum(draft,published):default=draft", "grade:enum(a,b)?", "category:ref"),
    *("spare:ref(Category)?", "twin:ref(Product)?", "rank:int:unique", "rate:decimal?"),
    "api_token:uuid?",
)
RESOURCES = (
    ("Category", "name:str:unique", "parent:ref(Category)?"),
    ("Product", *EVERY_TYPE, "--soft-delete", "--versioned", "--audited"),
    ("OrderLine", "product:ref", "status:enum(open,done)", "--no-timestamps"),
    ("Remark", "line:ref(OrderLine):unique"),
    ("Device", "secret:str:unique"),
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel and the pinned tools in a new environment, and return its Python."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", f"--outdir={folder}", str(ROOT))
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    python = folder / "venv/bin/python"
    pins = re.sub(r" *\\\n *--hash=\S+", "", (ROOT / "requirements/dev.txt").read_text())
    (folder / "pins.txt").write_text(pins)
    run(
        *(str(python), "-I", "-m", "pip", "install", "--quiet", "--only-binary=:all:"),
        *(f"--constraint={folder / 'pins.txt'}", f"{wheel}[{EXTRAS}]", *TOOLS),
        env=environment(str(python)),
    )
    return python


def run(*command: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run *command* and return its output."""
    done = subprocess.run(  # noqa: S603 — ours
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


class Project:
    """A new project, and commands that run in it."""

    def __init__(self, python: Path, folder: Path, url: str) -> None:
        self.python = python
        self.folder = folder / "my-shop"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            **{k: v for k, v in environment(str(python)).items() if k.startswith("PIP_")},
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PIP_CONSTRAINT": str(python.parents[2] / "pins.txt"),
            "VIRTUAL_ENV": str(python.parents[1]),
            "DATABASE_URL": url,
        }
        kind = make_url(url).get_backend_name()
        if kind == "postgresql":
            self.env["TEST_DATABASE_URL"] = url
        self.brickwork("new", "my-shop", f"--database={kind}", folder=folder)

    def brickwork(self, *arguments: str, folder: Path | None = None) -> str:
        return run(
            str(self.python.parent / "brickwork"),
            *arguments,
            folder=folder or self.folder,
            env=self.env,
        )

    def make(self, target: str) -> str:
        return run("make", target, folder=self.folder, env=self.env)

    def running(self) -> AbstractContextManager[str]:
        """Serve the project. The log has no warning about an index."""
        environment = {**self.env, "PORT": "0", "DEVELOPMENT": "true"}
        command = (str(self.python), "-m", "my_shop")
        return running_project(command, self.folder, environment, absent="index")


def test_a_new_project_runs_and_passes_its_tests(
    python: Path, tmp_path: Path, databases: Databases, backend: str
) -> None:
    project = Project(python, tmp_path, databases.empty(backend))
    assert "passed" in project.make("test")
    project.make("check")
    with project.running() as url:
        assert httpx2.get(f"{url}/docs").status_code == 200

    for resource in RESOURCES:
        project.brickwork("resource", *resource)
    assert "5 migrations ran." in project.brickwork("migrate")
    assert "No changes" in project.brickwork("migrate", "--make", "nothing")
    assert "passed" in project.make("test")
    project.make("check")
    pyright = ("-m", "pyright", "--pythonpath", str(python))
    run(sys.executable, *pyright, folder=project.folder)
    with project.running() as url:
        body: dict[str, Any] = {"name": "Bricks"}
        created = httpx2.post(f"{url}/categories", json=body)
        assert created.status_code == 201, created.text
        location = created.headers["location"]
        assert httpx2.get(f"{url}{location}").json() == created.json()

    models = project.folder / "my_shop/products/models.py"
    size = "notes: Mapped[str | None] = mapped_column(Text)"
    source = models.read_text()
    assert size in source
    models.write_text(source.replace(size, f"{size}\n    color: Mapped[str | None]"))
    sku = "mapped_column(String(20))"
    models.write_text(models.read_text().replace(sku, "mapped_column(String(30))"))
    assert "wrote" in project.brickwork("migrate", "--make", "add color")
    assert "1 migration ran." in project.brickwork("migrate")
    assert "No changes" in project.brickwork("migrate", "--make", "nothing")
    assert "passed" in project.make("test")
