"""The public names."""

import inspect
import subprocess
import sys

import brickwork


def test_the_public_names_are_sorted_and_defined() -> None:
    assert brickwork.__all__ == sorted(set(brickwork.__all__))
    assert all(getattr(brickwork, name) is not None for name in brickwork.__all__)


def test_every_import_of_the_package_is_public() -> None:
    shown = {name for name, value in vars(brickwork).items() if not inspect.ismodule(value)}
    assert {name for name in shown if not name.startswith("_")} == set(brickwork.__all__)


def test_every_public_name_has_a_docstring() -> None:
    for name in brickwork.__all__:
        value = getattr(brickwork, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
            assert value.__module__.startswith("brickwork."), name


def test_crud_router_has_exactly_seven_parameters() -> None:
    parameters = inspect.signature(brickwork.crud_router).parameters
    assert list(parameters) == ["prefix", "resource", "read", "create", "update", "query", "omit"]
    optional = {
        name for name, parameter in parameters.items() if parameter.default is not parameter.empty
    }
    assert optional == {"create", "update", "query", "omit"}
    keywords = {
        name for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert keywords == set(parameters) - {"prefix", "resource"}


def test_the_import_of_the_package_prints_nothing() -> None:
    script = "import warnings; warnings.simplefilter('error'); import brickwork"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)  # noqa: S603
    assert (done.stdout, done.stderr) == (b"", b"")
