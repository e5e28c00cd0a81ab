"""A pytest plugin for applications.

Load it in `conftest.py`, and give it the application:

```python
pytest_plugins = ["brickwork.testing"]

@pytest.fixture(scope="session")
def app(database_url: str) -> FastAPI:
    migrate(database_url)
    return create_app(Settings(database_url=database_url))
```

pytest need not rewrite it: PYTEST_DONT_REWRITE.
"""

try:
    from brickwork.testing.bodies import build
except ModuleNotFoundError as error:
    package = str(error.name).partition(".")[0]
    remedy = f"brickwork.testing needs {package}: pip install 'brickwork[testing]'"
    raise ModuleNotFoundError(remedy, name=package) from None
from brickwork.testing.leak_search import LeakReport
from brickwork.testing.leaks import assert_no_leaks
from brickwork.testing.overrides import sign_in
from brickwork.testing.plugin import (
    anyio_backend,
    app,
    brickwork_lifespan,
    brickwork_seed,
    client,
    database_url,
    kept_tables,
    pytest_addoption,
)
from brickwork.testing.statements import assert_statements

__all__ = [
    "LeakReport",
    "anyio_backend",
    "app",
    "assert_no_leaks",
    "assert_statements",
    "brickwork_lifespan",
    "brickwork_seed",
    "build",
    "client",
    "database_url",
    "kept_tables",
    "pytest_addoption",
    "sign_in",
]
