"""The frame of a project is the reference service."""

import re
from pathlib import Path

import pytest

from app import about
from app.settings import Settings
from brickwork.scaffold import frame
from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.frame import DATABASE_URL, frame_files, service_folder
from brickwork.scaffold.projects import project_files
from brickwork.scaffold.rendering import format_python, render
from brickwork.scaffold.router_list import add_router
from brickwork.scaffold.settings_file import example_settings

APP = Path(__file__).parents[2] / "app"
RESOURCES = ("authors", "articles", "comments")

FILES = {
    path.relative_to(APP).as_posix(): path.read_text()
    for path in APP.rglob("*")
    if path.suffix in {".py", ".mako"}
    and path.relative_to(APP).parts[0] not in RESOURCES
    and not re.match(r"\d", path.name)
}


def test_a_project_called_app_is_the_reference_service() -> None:
    assert service_folder() == APP
    rendered = dict(frame_files("app", DATABASE_URL))
    routers = render("routers.py")
    for name in RESOURCES:
        routers = add_router(routers, name) or ""
    rendered["routers.py"] = format_python(routers, APP / "routers.py")
    rendered["__init__.py"] = render(
        "__init__.py",
        docstring="The reference service, built on the public names of Brickwork.",
    )
    introduction = about.DESCRIPTION[: about.DESCRIPTION.index(" Each error")]
    rendered["about.py"] = format_python(
        render("about.py", title=about.TITLE, description=introduction), APP / "about.py"
    )
    assert rendered == FILES


def test_a_project_has_its_own_name_in_all_files() -> None:
    files = project_files("my-shop", "my_shop", "postgresql")
    modules = "|".join(Path(path).stem for path in FILES)
    for path, text in files.items():
        assert not re.search(rf"\bapp\.({modules})\b|(from|import|-m) app\b", text), path
        assert "article" not in text, path
        assert "brickwork.db" not in text, path
    assert "postgresql+asyncpg://localhost/my_shop" in files["my_shop/settings.py"]
    assert '[tool.hatch.build.targets.wheel]\npackages = ["my_shop"]' in files["pyproject.toml"]


def test_the_example_of_an_env_file_has_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = example_settings(FILES["settings.py"]).splitlines()
    pairs = [line.removeprefix("# ") for line in lines if re.match(r"# [A-Z_]+=", line)]
    assert [pair.partition("=")[0].lower() for pair in pairs] == [*Settings.model_fields]
    (tmp_path / ".env").write_text("\n".join(pairs))
    monkeypatch.chdir(tmp_path)
    assert Settings() == Settings.model_construct()


def test_an_env_file_has_settings_unless_the_environment_has_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nHOST=::1\nOTHER=ignored\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 — it is not opened
    settings = Settings()
    assert (settings.port, settings.host) == (8001, "0.0.0.0")  # noqa: S104


def test_a_library_without_the_service_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(frame, "__file__", str(tmp_path / "a/b/c/frame.py"))
    with pytest.raises(ScaffoldError, match="install the wheel, or a clone"):
        service_folder()
