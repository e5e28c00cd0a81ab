"""openapi.json: declarations for generated clients."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from app.main import create_app
from app.settings import Settings
from tests.support.bodies import JSON, MERGE_PATCH, Body, article
from tests.support.calls import calling
from tests.support.databases import Databases
from tests.support.openapi import operations_of

pytestmark = pytest.mark.anyio

RESOURCES = ("authors", "articles", "comments")
OF_A_LIST = {"get": "list", "post": "create"}
OF_A_ROW = {"get": "get", "patch": "update", "put": "replace", "delete": "delete"}
OF_A_BATCH = {"post": "create_batch", "patch": "update_batch", "delete": "delete_batch"}
OF_A_BODY = {"400", "409", "415", "422"}
STATUSES = {
    "list": {"200", "400", "422"},
    "create": {"201"} | OF_A_BODY,
    "get": {"200", "400", "404", "422"},
    "update": {"200", "404"} | OF_A_BODY,
    "replace": {"200", "404"} | OF_A_BODY,
    "delete": {"204", "400", "404", "409", "422"},
    "create_batch": {"201"} | OF_A_BODY,
    "update_batch": {"200", "404"} | OF_A_BODY,
    "delete_batch": {"204", "400", "404", "409", "422"},
}
TAGS = {"if-match", "if-none-match"}
HEADERS = {
    "create": {"prefer", "idempotency-key"},
    "create_batch": {"idempotency-key"},
    "update_batch": {"idempotency-key"},
    "update": {"idempotency-key"},
}


@pytest.fixture(scope="module")
async def openapi(templates: Databases) -> Any:
    """Return the OpenAPI document of the service."""
    app = create_app(Settings(database_url=templates.empty("sqlite")))
    async with calling(app) as client:
        return (await client.get("/openapi.json")).json()


@pytest.fixture(scope="module")
def operations(openapi: Any) -> Body:
    """Return the operations by their ids."""
    return operations_of(openapi)


def field_schemas(schema: Any) -> dict[str, Any]:
    """Return the schema of each field of *schema*, without null."""
    described: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        kinds = [kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"]
        described[name] = kinds[0]
    return described


async def test_every_path_is_declared_with_its_operations(openapi: Any) -> None:
    expected: dict[str, dict[str, str]] = {}
    for name in RESOURCES:
        expected[f"/{name}"] = {method: f"{name}_{verb}" for method, verb in OF_A_LIST.items()}
        expected[f"/{name}/batch"] = {m: f"{name}_{verb}" for m, verb in OF_A_BATCH.items()}
        expected[f"/{name}/{{id}}"] = {m: f"{name}_{verb}" for m, verb in OF_A_ROW.items()}
    expected["/articles/{id}/restore"] = {"post": "articles_restore"}
    paths = openapi["paths"]
    assert expected == {
        path: {method: operation["operationId"] for method, operation in methods.items()}
        for path, methods in paths.items()
    }


async def test_every_status_of_an_operation_is_declared(operations: Body) -> None:
    for name in RESOURCES:
        for verb, statuses in STATUSES.items():
            assert operations[f"{name}_{verb}"]["responses"].keys() >= statuses, (name, verb)


EVERYWHERE = {"400", "414", "422", "431", "500", "503"}
OF_A_CHANGE = {"406", "409", "413", "415"}


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("articles_list", {"406"}),
        ("articles_create", OF_A_CHANGE),
        ("articles_create_batch", OF_A_CHANGE),
        ("articles_update_batch", {"404", "412"} | OF_A_CHANGE),
        ("articles_delete_batch", {"404", "409"}),
        ("articles_get", {"404", "406", "412"}),
        ("articles_update", {"404", "412"} | OF_A_CHANGE),
        ("articles_replace", {"404", "412"} | OF_A_CHANGE),
        ("articles_delete", {"404", "409", "412"}),
        ("articles_restore", {"404", "406", "409", "412"}),
        ("authors_update_batch", {"404"} | OF_A_CHANGE),
        ("authors_get", {"404", "406"}),
        ("authors_update", {"404"} | OF_A_CHANGE),
        ("authors_delete", {"404", "409"}),
    ],
)
async def test_only_errors_that_an_operation_can_give_are_declared(
    operations: Body, name: str, errors: set[str]
) -> None:
    declared = {status for status in operations[name]["responses"] if int(status) >= 400}
    assert declared == EVERYWHERE | errors


async def test_every_error_is_declared_as_a_problem(operations: Body) -> None:
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            assert response["content"].keys() == {"application/problem+json"}, (name, status)
            schema = response["content"]["application/problem+json"]["schema"]
            required = {"type", "title", "status", "detail", "instance"}
            assert required <= {*schema["required"]} <= {*schema["properties"]}
            fault = schema["properties"]["errors"]["items"]["properties"]
            assert fault.keys() >= {"pointer", "parameter", "code", "detail"}


async def test_every_response_with_a_row_declares_its_fields(
    operations: Body,
) -> None:
    fields = {
        "authors": {"name", "email", "bio"},
        "articles": {"title", "slug", "body", "status", "views", "rating", "published_at", "meta"}
        | {"author_id"},
        "comments": {"article_id", "author_name", "body"},
    }
    for name, expected in fields.items():
        every = expected | {"id", "created_at", "updated_at"}
        every |= {"version"} if name == "articles" else set()
        for verb, status in {
            "create": "201",
            "get": "200",
            "update": "200",
            "replace": "200",
        }.items():
            schema = operations[f"{name}_{verb}"]["responses"][status]["content"][JSON]["schema"]
            assert schema["properties"].keys() == every
            assert {*schema["required"]} == every
        schema = operations[f"{name}_list"]["responses"]["200"]["content"][JSON]["schema"]
        assert schema["type"] == "array"
        assert schema["items"]["properties"].keys() == every
        assert "content" not in operations[f"{name}_delete"]["responses"]["204"]


async def test_every_body_is_declared_with_its_media_types(
    operations: Body,
) -> None:
    for name in RESOURCES:
        for verb, kinds in {
            "create": {JSON},
            "replace": {JSON},
            "update": {JSON, MERGE_PATCH},
            "create_batch": {JSON},
            "update_batch": {JSON},  # generators fail on two media types of an array
        }.items():
            body = operations[f"{name}_{verb}"]["requestBody"]
            assert body["required"] is True
            assert body["content"].keys() == kinds
            for kind in kinds:
                schema = body["content"][kind]["schema"]
                assert schema.get("items", schema)["additionalProperties"] is False
        assert (
            "required" not in operations[f"{name}_update"]["requestBody"]["content"][JSON]["schema"]
        )


async def test_limits_of_fields_are_declared(operations: Body) -> None:
    expected: dict[str, dict[str, Body]] = {
        "authors": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "email": {"type": "string", "maxLength": 254},
            "bio": {"type": "string"},
        },
        "articles": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200},
            "slug": {"type": "string", "maxLength": 100, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
            "body": {"type": "string", "maxLength": 100_000},
            "status": {"type": "string", "enum": ["draft", "published"]},
            "views": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            "rating": {"type": "number"},
            "published_at": {"type": "string", "format": "date-time"},
            "meta": {"type": "object"},
            "author_id": {"type": "string", "format": "uuid"},
        },
        "comments": {
            "article_id": {"type": "string", "format": "uuid"},
            "author_name": {"type": "string", "minLength": 1, "maxLength": 100},
            "body": {"type": "string", "minLength": 1, "maxLength": 10_000},
        },
    }
    for name, fields in expected.items():
        for verb in ("create", "update", "replace"):
            content = operations[f"{name}_{verb}"]["requestBody"]["content"]
            described = field_schemas(content[JSON]["schema"])
            for field, limits in fields.items():
                assert described[field].items() >= limits.items(), (name, verb, field)


async def test_defaults_are_declared_for_create_and_replace_only(
    operations: Body,
) -> None:
    expected = {"body": "", "status": "draft", "views": 0}
    for verb, defaults in {"create": expected, "replace": expected, "update": {}}.items():
        schema = operations[f"articles_{verb}"]["requestBody"]["content"][JSON]["schema"]
        described = {name: field.get("default") for name, field in schema["properties"].items()}
        assert {
            name: default for name, default in described.items() if default is not None
        } == defaults


FILTERED = {
    "articles": {
        *("title", "slug", "status", "views", "rating", "published_at", "author_id", "created_at"),
        *("sort", "q", "deleted"),
    },
    "authors": {"name", "email", "sort"},
    "comments": {"article_id", "sort"},
}


def _column(parameter: str) -> str:
    return parameter.partition("__")[0]


async def test_sort_columns_and_comma_separated_parameters_are_declared(
    operations: Body,
) -> None:
    parameters = {
        parameter["name"]: parameter for parameter in operations["articles_list"]["parameters"]
    }
    sort = parameters["sort"]
    assert (sort["style"], sort["explode"]) == ("form", False)
    names = ["title", "slug", "status", "views", "rating", "published_at", "created_at"]
    assert sort["schema"]["items"]["enum"] == [sign + name for name in names for sign in ("", "-")]
    several = parameters["status__in"]
    assert (several["style"], several["explode"]) == ("form", False)
    assert several["schema"]["items"]["enum"] == ["draft", "published"]
    assert parameters["status"]["schema"]["enum"] == ["draft", "published"]
    assert parameters["rating__isnull"]["schema"]["type"] == "boolean"


async def test_parameters_of_an_operation_are_declared(operations: Body) -> None:
    for name in RESOURCES:
        parameters = {
            verb: {
                parameter["name"]: parameter["schema"]
                for parameter in operations[f"{name}_{verb}"].get("parameters", [])
            }
            for verb in STATUSES
        }
        common = {"limit", "offset", "cursor", "count"}
        assert parameters["list"].keys() >= common
        assert all(
            parameter in FILTERED[name]
            for parameter in map(_column, parameters["list"].keys() - common)
        )
        limit: Body = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
        assert parameters["list"]["limit"].items() >= limit.items()
        offset: Body = {"type": "integer", "minimum": 0, "maximum": 10_000}
        assert parameters["list"]["offset"].items() >= offset.items()
        assert "default" not in parameters["list"]["offset"]  # clients would send it with a cursor
        for verb, header in HEADERS.items():
            tags = TAGS if (name, verb) == ("articles", "update") else set[str]()
            own = {parameter.lower() for parameter in parameters[verb]} - {"id"}
            assert own == header | tags, (name, verb)
        for verb in ("get", "update", "replace", "delete"):
            assert parameters[verb].keys() >= {"id"}
        assert parameters["delete"].keys() >= {"id", "allow_missing"}
        assert parameters["delete"]["id"]["format"] == "uuid"


OF_A_SERVER = {"content-length", "content-type", "vary"}
"""Headers that are not declared."""


async def test_every_header_of_a_response_is_declared(
    client: AsyncClient, operations: Body
) -> None:
    key = {"idempotency-key": "1"}
    batch = [article(slug="a"), article(slug="b")]
    answers = {
        "articles_create": [
            await client.post("/articles", json=article(slug="c"), headers=key),
            await client.post("/articles", json=article(slug="c"), headers=key),
            await client.post("/articles", json=article(slug="c"), headers={"accept": "text/html"}),
            await client.post("/articles", content=b"{}"),
            await client.post(
                "/articles", json=article(slug="d"), headers={"prefer": "return=minimal"}
            ),
        ],
        "articles_create_batch": [await client.post("/articles/batch", json=batch)],
        "articles_list": [
            await client.get("/articles?limit=1&count=exact"),
            await client.get("/articles?limit=0"),
        ],
    }
    path = answers["articles_create"][0].headers["location"]
    answers |= {
        "articles_get": [
            await client.get(path),
            await client.get(path, headers={"if-none-match": "*"}),
            await client.get(path, headers={"if-match": '"0"'}),
        ],
        "articles_update": [
            await client.patch(path, json={"title": "New"}),
            await client.patch(path, content=b"{}"),
        ],
        "articles_replace": [await client.put(path, json=article(slug="c"))],
        "articles_delete": [await client.delete(path)],
        "articles_restore": [await client.post(f"{path}/restore")],
    }
    seen = {name: [response.status_code for response in them] for name, them in answers.items()}
    assert seen == {
        "articles_create": [201, 201, 406, 415, 201],
        "articles_create_batch": [201],
        "articles_list": [200, 422],
        "articles_get": [200, 304, 412],
        "articles_update": [200, 415],
        "articles_replace": [200],
        "articles_delete": [204],
        "articles_restore": [200],
    }
    for name, responses in answers.items():
        for response in responses:
            declared = operations[name]["responses"][str(response.status_code)]["headers"]
            known = {header.lower() for header in declared} | OF_A_SERVER
            assert response.headers.keys() <= known, (name, response.status_code)


async def test_error_responses_are_shared_components(openapi: Any) -> None:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                shared = response.get("$ref", "").startswith("#/components/responses/")
                assert shared is (int(status) >= 400), (method, path, status)


async def test_a_summary_is_a_phrase(operations: Body) -> None:
    assert {
        name: operation["summary"] for name, operation in operations.items() if "article" in name
    } == {
        "articles_list": "List articles",
        "articles_create": "Create an article",
        "articles_create_batch": "Create a batch of articles",
        "articles_update_batch": "Update a batch of articles",
        "articles_delete_batch": "Delete a batch of articles",
        "articles_get": "Get an article",
        "articles_update": "Update an article",
        "articles_replace": "Replace an article",
        "articles_delete": "Delete an article",
        "articles_restore": "Restore an article",
    }
