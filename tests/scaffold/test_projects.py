"""New projects, and the resources that are added to them."""

import fcntl
import inspect
import shutil
import signal
from collections.abc import Callable, Mapping
from errno import ENOLCK, ENOSPC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from brickwork.database.database import Database
from brickwork.scaffold import migration_process, projects, resources
from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.field_types import TYPES
from brickwork.scaffold.interrupts import interruptible
from brickwork.scaffold.migration_process import MigrationFailure
from brickwork.scaffold.project_lock import locked_project
from brickwork.scaffold.projects import create_project, package_name
from brickwork.scaffold.resources import NewResource, ResourceOptions, add_resource
from tests.support.databases import Databases

NO_MIGRATION = ResourceOptions(migration=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project, once for all tests."""
    folder = tmp_path_factory.mktemp("made") / "shop"
    create_project("shop", folder, "sqlite")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return Path(shutil.copytree(made, tmp_path / "shop"))


def contents(folder: Path) -> Mapping[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def add(
    folder: Path, model: str, *fields: str, options: ResourceOptions = NO_MIGRATION
) -> NewResource:
    return add_resource(folder, model, fields, options)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("My Shop", "is not a name of a project"),
        ("2shop", "a letter first, as in my-shop"),
        ("shop-", "is not a name of a project"),
        ("class", "class is a word of Python"),
        ("match", "match is a word of Python"),
        ("email", "email is a module of Python"),
        ("tests", "the name of an installed package"),
        ("fastapi", "fastapi is the name of an installed package"),
        ("brickwork", "the name of an installed package"),
    ],
)
def test_a_name_without_a_package_is_rejected(name: str, error: str) -> None:
    with pytest.raises(ScaffoldError, match=error):
        package_name(name)


def test_a_hyphen_is_an_underscore_of_the_package() -> None:
    assert package_name("my-shop-2") == "my_shop_2"


def test_a_folder_with_files_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScaffoldError, match="exists: nothing is overwritten"):
        create_project("shop", tmp_path, "sqlite")
    with pytest.raises(ScaffoldError, match="exists: nothing is overwritten"):
        create_project("shop", tmp_path / "file", "sqlite")
    with pytest.raises(ScaffoldError, match=r"There is no folder .*: make it first"):
        create_project("shop", tmp_path / "a/b", "sqlite")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert create_project("my-shop", folder, "postgresql") == "my_shop"
    assert (folder / "my_shop/main.py").exists()
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("exists", [True, False], ids=["an empty folder", "no folder"])
def test_a_failure_leaves_no_project_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    def fail(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(projects, "format_files", fail)
    folder = tmp_path / "shop"
    if exists:
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        create_project("shop", folder, "sqlite")
    assert [*tmp_path.rglob("*")] == ([folder] if exists else [])


@pytest.mark.parametrize("exists", [True, False], ids=["an empty folder", "no folder"])
def test_a_project_that_appears_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    """Simulate a second command that begins and ends while the first one formats."""
    folder, before = tmp_path / "shop", dict[str, bytes]()
    if exists:
        folder.mkdir()

    def finish_other(_: Path) -> None:
        monkeypatch.undo()
        create_project("shop", folder, "postgresql")
        before.update(contents(folder))

    monkeypatch.setattr(projects, "format_files", finish_other)
    with pytest.raises(ScaffoldError, match="exists: nothing is overwritten"):
        create_project("shop", folder, "sqlite")
    assert contents(folder) == before
    assert [*tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize("name", ["README.md", "tests/test_other.py"])
def test_a_file_that_appears_meanwhile_stays_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def write(_: Path) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")

    monkeypatch.setattr(projects, "format_files", write)
    with pytest.raises(ScaffoldError, match="exists: nothing is overwritten"):
        create_project("shop", tmp_path, "sqlite")
    assert contents(tmp_path) == {name: b"mine"}


def test_a_new_folder_has_the_permissions_of_others(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    create_project("shop", tmp_path / "shop", "sqlite")
    assert (tmp_path / "shop").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(ScaffoldError, match=r"shop: No space left on device\. Nothing has changed"):
        create_project("shop", tmp_path / "shop", "sqlite")
    assert not [*tmp_path.iterdir()]


def test_a_resource_is_listed_with_its_files(project: Path) -> None:
    before = contents(project)
    add(project, "OrderLine", "name:str:unique", "price:decimal(10,2)")
    after = contents(project)
    assert after.keys() - before.keys() == {
        "shop/order_lines/__init__.py",
        "shop/order_lines/endpoints.py",
        "shop/order_lines/models.py",
        "shop/order_lines/schemas.py",
        "tests/test_order_lines.py",
    }
    assert {name for name in before if before[name] != after[name]} == {"shop/routers.py"}
    assert b"ROUTERS: Final[Sequence[APIRouter]] = (order_lines,)" in after["shop/routers.py"]
    assert b'"/order-lines"' in after["shop/order_lines/endpoints.py"]


def test_the_rules_of_the_service_are_optional(project: Path) -> None:
    (project / "shop/resource.py").unlink()
    assert not add(project, "Product", "name:str").is_protected
    endpoints = (project / "shop/products/endpoints.py").read_text()
    assert "class Products(Resource[Product]):" in endpoints
    assert "shop.resource" not in endpoints


@pytest.mark.parametrize(
    ("model", "field", "error"),
    [
        ("product", "name:str", "is not a name of a model"),
        ("Pro_duct", "name:str", "in the singular, as in OrderLine"),
        ("Products", "name:str", "Products is a plural: write Product, or the plural"),
        ("Entity", "name:str", "Entity is a name that the code of a resource imports"),
        ("String", "name:str", "String is a name that the code"),
        ("Exception", "name:str", "Exception is a name that the code"),
        ("News", "name:str", "News is its own plural"),
        ("Doc", "name:str", "docs is the name of a page or a table"),
        ("Setting", "name:str", r"shop/settings\.py exists: nothing is overwritten"),
        ("Product", "name:string", "there is no type 'string'"),
        ("Product", "category:ref", "there is no resource Category. Add it first: brickwork"),
        ("Product", "sort_by:enum(name,price)", "two meanings for SortBy. Rename the model"),
        ("Product", "list_query:enum(a,b)", "two meanings for ListQuery"),
        ("Product", "max_len:enum(a,b)", "two meanings for MaxLen"),
        *(
            ("Product", f"{name}:int", rf"products/models\.py would have two meanings for {name}")
            for name in (
                *("c_collation", "mapped_column", "soft_delete_foreign_key"),
                "unique_unless_deleted",
            )
        ),
        ("Product", "parent:ref(Product)", r"Make it optional: parent:ref\(Product\)\?"),
    ],
)
def test_a_wrong_resource_changes_nothing(
    project: Path, model: str, field: str, error: str
) -> None:
    before = contents(project)
    with pytest.raises(ScaffoldError, match=error):
        add(project, model, field)
    assert contents(project) == before


def test_a_second_resource_of_one_name_changes_nothing(project: Path) -> None:
    add(project, "Product", "name:str")
    before = contents(project)
    with pytest.raises(ScaffoldError, match="shop/products exists: nothing is overwritten"):
        add(project, "Product", "name:str")
    options = ResourceOptions(plural="goods", migration=False)
    with pytest.raises(ScaffoldError, match="shop has a model Product already"):
        add(project, "Product", "name:str", options=options)
    with pytest.raises(ScaffoldError, match="Product2 has no field: add one"):
        add(project, "Product2")
    assert contents(project) == before


@pytest.mark.parametrize(
    "source",
    [
        "from .security import ProtectedResource as ProtectedResource\n",
        "from . import security\n\nProtectedResource = security.Protected\n",
        "\ufefftry:\n    from .a import ProtectedResource\nexcept ImportError:\n    raise\n",
    ],
    ids=["imported", "assigned", "tried, after a byte order mark"],
)
def test_a_moved_rule_of_the_service_is_found(project: Path, source: str) -> None:
    (project / "shop/resource.py").write_text(source)
    assert add(project, "Product", "name:str").is_protected
    assert "(ProtectedResource[Product])" in (project / "shop/products/endpoints.py").read_text()


BROKEN = {
    "resource.py": (b"class ProtectedResource(", r"resource\.py, line 1: .*Correct it first"),
    "routers.py": (b"ROUTERS = (", r"routers\.py, line 1: .*Correct it first"),
    "jobs/models.py": (b"class Job(:", r"jobs/models\.py, line 1: .*Correct it first"),
    "jobs/models.py in Latin-1": (b"# caf\xe9", r"models\.py is not UTF-8\. Convert it first"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_not_python_is_named(project: Path, name: str) -> None:
    content, error = BROKEN[name]
    path = project / "shop" / name.partition(" ")[0]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    before = contents(project)
    with pytest.raises(ScaffoldError, match=error):
        add(project, "Product", "name:str")
    assert contents(project) == before


def test_every_type_has_one_meaning(project: Path) -> None:
    add(project, "Category", "name:str")
    add(project, "Product", *(f"a_{name}:{name}" for name in TYPES if name not in {"ref", "enum"}))
    add(project, "Other", "extra:json", "state:enum(a,b)", "category:ref", "price:decimal(10,2)")


def test_two_meanings_of_a_plural_are_rejected(project: Path) -> None:
    options = ResourceOptions(plural="product_read", migration=False)
    with pytest.raises(ScaffoldError, match="two meanings for ProductRead"):
        add(project, "Product", "name:str", options=options)


def test_a_field_may_be_called_client(project: Path) -> None:
    add(project, "Product", "client:str:unique", "changes:str", "number:int:unique")
    names: dict[str, Any] = {"__package__": "tests"}
    exec((project / "tests/test_products.py").read_text(), names)  # noqa: S102 — generated
    create = inspect.signature(names["create_product"])
    assert create.bind("the client", client="a", changes="b").arguments == {
        "client": "the client",
        "changes": {"client": "a", "changes": "b"},
    }


def test_an_import_of_the_list_of_routers_stays(project: Path) -> None:
    """Keep an unused import: it may have an effect, such as a model for migrations."""
    routers = project / "shop/routers.py"
    before = routers.read_text().replace(
        "\nROUTERS", "\nfrom . import about  # for jobs\n\nROUTERS"
    )
    routers.write_text(before)
    add(project, "Product", "name:str")
    added = "from .products.endpoints import router as products\n"
    after = routers.read_text().replace(added, "").replace("(products,)", "()")
    assert sorted(after.split()) == sorted(before.split())


def test_a_file_without_a_format_keeps_it(project: Path) -> None:
    routers = project / "shop/routers.py"
    routers.write_bytes(b"import  sys\r\nimport os\r\nROUTERS = ( )\r\n")
    add(project, "Product", "name:str")
    added = b"from .products.endpoints import router as products\r\n"
    assert routers.read_bytes() == (
        b"import  sys\r\nimport os\r\n" + added + b"ROUTERS = ( products,)\r\n"
    )


@pytest.mark.parametrize("place", ["tests", "shop/products", "shop/routers.py"])
def test_a_file_that_cannot_be_written_undoes_all_files(
    project: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before, write = contents(project), Path.write_bytes

    def fail(path: Path, content: bytes) -> int:
        if path.is_relative_to(project / place):
            raise PermissionError(13, "Permission denied")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ScaffoldError, match=r"cannot be written: Permission denied\. Nothing"):
        add(project, "Product", "name:str")
    assert contents(project) == before
    assert not (project / "shop/products").exists()


def test_a_file_instead_of_a_folder_changes_nothing(project: Path) -> None:
    shutil.rmtree(project / "tests")
    (project / "tests").touch()
    before = contents(project)
    with pytest.raises(ScaffoldError, match=r"tests/test_products\.py cannot be written"):
        add(project, "Product", "name:str")
    assert contents(project) == before
    assert not (project / "shop/products").exists()


def test_a_link_to_nowhere_is_not_followed(project: Path) -> None:
    (project / "tests/test_products.py").symlink_to(project / "nowhere")
    with pytest.raises(ScaffoldError, match="exists: nothing is overwritten"):
        add(project, "Product", "name:str")
    assert not (project / "nowhere").exists()


@pytest.mark.parametrize("missing", ["pyproject.toml", "shop/migrations"])
def test_missing_migrations_are_one_line(project: Path, missing: str) -> None:
    (project / missing).rename(project / "elsewhere")
    with pytest.raises(ScaffoldError, match=r"so nothing has changed:\n[^\n]*$") as raised:
        add(project, "Product", "name:str", options=ResourceOptions())
    assert not isinstance(raised.value, MigrationFailure)


def test_two_heads_of_migrations_are_one_line(project: Path) -> None:
    versions = project / "shop/migrations/versions"
    for name in ("one", "two"):
        text = f'revision = "{name}"\ndown_revision = None\n'
        (versions / f"{name}.py").write_text(f"{text}def upgrade() -> None: ...\n")
    with pytest.raises(ScaffoldError) as raised:
        add(project, "Product", "name:str", options=ResourceOptions())
    assert "heads" in str(raised.value)
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize("plural", ["Goods", "class", "idempotency_keys", "a" * 40])
def test_a_wrong_plural_is_rejected(project: Path, plural: str) -> None:
    with pytest.raises(ScaffoldError, match="--plural"):
        add(project, "Product", "name:str", options=ResourceOptions(plural, migration=False))


def test_a_changed_list_of_routers_is_left_alone(project: Path) -> None:
    (project / "shop/routers.py").write_text("ROUTERS = tuple(find_routers())\n")
    before = contents(project)
    with pytest.raises(ScaffoldError, match=r"Add products to it .*from \.products\.endpoints"):
        add(project, "Product", "name:str")
    assert contents(project) == before


def test_a_reference_needs_tests_that_make_its_target(project: Path) -> None:
    add(project, "Category", "name:str")
    tests = project / "tests/test_categories.py"
    tests.write_text(tests.read_text().replace("create_category", "make_category"))
    with pytest.raises(ScaffoldError, match="has no function create_category"):
        add(project, "Product", "category:ref")


def test_a_reference_needs_a_uuid(project: Path) -> None:
    add(project, "Category", "name:str")
    models = project / "shop/categories/models.py"
    models.write_text(models.read_text().replace("(Entity", "(Model"))
    with pytest.raises(ScaffoldError, match="Category is no Entity"):
        add(project, "Product", "category:ref")


def test_a_reference_to_rows_with_soft_delete_hides_with_them(project: Path) -> None:
    options = ResourceOptions(mixins=("SoftDelete",), migration=False)
    add(project, "Category", "name:str", "parent:ref(Category)?", options=options)
    add(project, "Product", "category:ref")
    models = (project / "shop/products/models.py").read_text()
    assert 'soft_delete_foreign_key("category_id", "category_is_deleted", Category)' in models
    assert "category_is_deleted" not in (project / "shop/products/schemas.py").read_text()
    with pytest.raises(ScaffoldError, match=r"marks references to deleted rows\. Rename the field"):
        add(project, "Other", "category:ref", "category_is_deleted:bool")


def test_a_folder_without_a_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match=r"There is no project in .*: run the command in"):
        add(tmp_path, "Product", "name:str")


def test_a_migration_that_fails_undoes_all_files(project: Path) -> None:
    versions = project / "shop/migrations/versions"
    (versions / "broken.py").write_text("raise RuntimeError('broken')\n")
    before = contents(project)
    with pytest.raises(ScaffoldError, match=r"(?s)nothing has changed:.*RuntimeError: broken"):
        add(project, "Product", "name:str", options=ResourceOptions())
    assert contents(project) == before
    assert not (project / "shop/products").exists()


def test_a_database_that_cannot_be_reached_undoes_all_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost:1/shop")
    before = contents(project)
    with pytest.raises(MigrationFailure, match="Start it or correct DATABASE_URL, or add --no-"):
        add(project, "Product", "name:str", options=ResourceOptions())
    assert contents(project) == before


def test_a_failed_write_undoes_all_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(resources, "write_migration", fail)
    before = contents(project)
    with pytest.raises(KeyboardInterrupt):
        add(project, "Product", "name:str", options=ResourceOptions())
    assert contents(project) == before


def first_migration(project: Path, *lines: str) -> None:
    """Write a migration that runs *lines*, as the first one of the project."""
    head = 'import os, signal, time\nrevision = "one"\ndown_revision = None\n'
    body = "".join(f"    {line}\n" for line in lines)
    path = project / "shop/migrations/versions/one.py"
    path.write_text(f"{head}def upgrade() -> None:\n{body}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_undoes_all_files(project: Path, number: signal.Signals) -> None:
    first_migration(
        project,
        f"os.kill(os.getppid(), {number.value})  # the command",
        "time.sleep(600)  # until the command ends this process",
    )
    before = contents(project)
    with pytest.raises(KeyboardInterrupt), interruptible():
        add(project, "Product", "name:str", options=ResourceOptions())
    assert contents(project) == before
    assert not (project / "shop/products").exists()


def test_a_signal_after_the_migration_removes_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        (project / "shop/migrations/versions/two.py").touch()
        raise KeyboardInterrupt

    first_migration(project, "pass")
    monkeypatch.setattr(migration_process, "_run", run)
    before = contents(project)
    with pytest.raises(KeyboardInterrupt):
        add(project, "Product", "name:str", options=ResourceOptions())
    assert contents(project) == before


@pytest.mark.both_paths
@pytest.mark.anyio
async def test_a_signal_drops_the_scratch_database(
    project: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url := databases.empty("postgresql"))
    first_migration(project, "os.kill(os.getpid(), signal.SIGTERM)", "time.sleep(600)")
    with pytest.raises(ScaffoldError, match=r"so nothing has changed:\nInterrupted\.$"):
        add(project, "Product", "name:str", options=ResourceOptions())
    statement = text("SELECT datname FROM pg_database WHERE datname LIKE 'brickwork_scratch_%'")
    engine = Database(url).create_engine()
    async with engine.connect() as connection:
        assert (await connection.scalars(statement)).all() == []
    await engine.dispose()


def test_a_second_signal_does_not_stop_the_undo() -> None:
    undone: list[signal.Signals] = []

    def run() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)
                undone.append(number)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        run()
    assert undone == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_table_with_a_migration_needs_no_other(project: Path) -> None:
    routers = project / "shop/routers.py"
    before = routers.read_bytes()
    options = ResourceOptions()
    assert add(project, "Product", "name:str", options=options).migration
    shutil.rmtree(project / "shop/products")
    (project / "tests/test_products.py").unlink()
    routers.write_bytes(before)
    assert add(project, "Product", "name:str", options=options).migration is None
    assert (project / "shop/products/models.py").exists()


def test_one_command_at_a_time_changes_a_project(project: Path) -> None:
    before = contents(project)
    with (
        locked_project(project),
        pytest.raises(ScaffoldError, match="Another brickwork command changes this project"),
    ):
        add(project, "Product", "name:str")
    assert contents(project) == before
    add(project, "Product", "name:str")


def test_the_whole_command_has_the_lock(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[str] = []

    def try_other(*_: object) -> None:
        with pytest.raises(ScaffoldError) as raised:
            add(project, "Category", "name:str")
        errors.append(str(raised.value))

    for name in ("_new_files", "write_files", "format_files"):
        wrapped: Callable[..., Any] = getattr(resources, name)

        def try_first(*arguments: Any, wrapped: Callable[..., Any] = wrapped) -> Any:
            try_other()
            return wrapped(*arguments)

        monkeypatch.setattr(resources, name, try_first)
    add(project, "Product", "name:str")
    assert len(errors) == 3
    assert all("Repeat the command when it has ended" in error for error in errors)


def test_a_file_system_without_locks_has_none(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    add(project, "Product", "name:str")
    with locked_project(project / "nowhere"):
        pass


def test_a_migration_that_cannot_be_written_names_its_file(project: Path) -> None:
    versions = project / "shop/migrations/versions"
    shutil.rmtree(versions)
    versions.touch()
    before = contents(project)
    with pytest.raises(ScaffoldError, match=r"/versions/\w+\.py: Not a directory\.$") as raised:
        add(project, "Product", "name:str", options=ResourceOptions())
    assert not isinstance(raised.value, MigrationFailure)
    assert contents(project) == before


def test_a_file_that_cannot_be_read_is_named(project: Path) -> None:
    (project / "shop/resource.py").unlink()
    (project / "shop/resource.py").mkdir()
    with pytest.raises(ScaffoldError, match=r"resource\.py: Is a directory\. Nothing has changed"):
        add(project, "Product", "name:str")
