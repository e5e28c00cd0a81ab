"""Problems, patches, integers and texts in OpenAPI."""

from typing import Annotated, Any

import pytest
from annotated_types import Ge, Le, Len
from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, Field

from brickwork import Limits, ListQuery, Schema, StrictRoute, install
from brickwork.http.openapi import merge_patch_body, problem_responses
from brickwork.http.problem_response import MEDIA_TYPE
from brickwork.problems import BOUNDS, PLACES, problem_for_status
from tests.support.shop import City


class Thing(Schema):
    size: int
    small: Annotated[int, Ge(-3), Le(5)] = 0
    real: Annotated[float, Ge(0)] = 0


def create_app(limits: Limits | None = None) -> FastAPI:
    app = FastAPI()
    install(app, limits=limits)
    router = APIRouter(route_class=StrictRoute)

    @router.patch(
        "/things", responses=problem_responses([404, 409]), openapi_extra=merge_patch_body()
    )
    async def update(data: Thing) -> None: ...

    @router.get("/things")
    async def show(at: Annotated[ListQuery[City], Query()]) -> None: ...

    app.include_router(router)
    return app


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def test_error_status_refers_to_its_problem(document: dict[str, Any]) -> None:
    responses = document["paths"]["/things"]["patch"]["responses"]
    for status, name in ((404, "NotFound"), (409, "Conflict")):
        assert responses[str(status)] == {"$ref": f"#/components/responses/{name}"}
        component = document["components"]["responses"][name]
        assert component["description"] == problem_for_status(status).title
        assert component["content"] == {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
        }


def test_schema_of_a_problem_is_a_component(document: dict[str, Any]) -> None:
    problem = document["components"]["schemas"]["ProblemDetails"]
    assert set(problem["required"]) == {"type", "title", "status", "detail", "instance"}
    assert problem["properties"].keys() == {*problem["required"], "errors"}
    reference = problem["properties"]["errors"]["items"]
    assert reference == {"$ref": "#/components/schemas/ProblemErrorDetail"}
    fault = document["components"]["schemas"]["ProblemErrorDetail"]
    assert fault["properties"].keys() == {*PLACES, "code", "detail", *BOUNDS}


def test_patch_has_both_media_types(document: dict[str, Any]) -> None:
    content = document["paths"]["/things"]["patch"]["requestBody"]["content"]
    for kind in ("application/json", "application/merge-patch+json"):
        assert content[kind] == {"schema": {"$ref": "#/components/schemas/Thing"}}


def test_bounds_of_integers_are_exact(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["Thing"]["properties"]
    bounds = {
        (name, bound): repr(fields[name].get(bound))
        for name in fields
        for bound in ("minimum", "maximum")
    }
    assert bounds == {
        ("size", "minimum"): str(-(2**63)),
        ("size", "maximum"): str(2**63 - 1),
        ("small", "minimum"): "-3",
        ("small", "maximum"): "5",
        ("real", "minimum"): "0.0",
        ("real", "maximum"): "None",
    }


def test_openapi_has_the_limits_of_the_application() -> None:
    document = create_app(Limits(page=7, offset=70)).openapi()
    limit, offset, *_ = document["paths"]["/things"]["get"]["parameters"]
    assert (limit["name"], limit["schema"]["maximum"]) == ("limit", 7)
    assert (offset["name"], offset["schema"]["maximum"]) == ("offset", 70)


def test_openapi_document_is_stable() -> None:
    app = create_app()
    assert app.openapi() == app.openapi()
    assert create_app().openapi() == app.openapi()


def test_empty_application_has_the_problem_schema() -> None:
    app = FastAPI()
    install(app)
    assert app.openapi()["components"].keys() == {"schemas"}
    assert app.openapi()["components"]["schemas"].keys() == {"ProblemDetails", "ProblemErrorDetail"}


def test_application_can_have_a_model_named_problem() -> None:
    class Problem(BaseModel):
        exercise: str

    app = FastAPI()
    install(app)

    @app.get("/exercises/1")
    async def show() -> Problem:
        return Problem(exercise="2 + 2")

    document = app.openapi()
    response = document["paths"]["/exercises/1"]["get"]["responses"]["200"]
    name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][name]["properties"].keys() == {"exercise"}


def test_text_has_a_valid_example() -> None:
    class Texts(Schema):
        free: str
        short: Annotated[str, Len(1, 3)]
        long: Annotated[str, Len(8)] | None
        own: Annotated[str, Field(examples=["mine"])] | None
        given: str = "else"

    app = FastAPI()
    install(app)

    @app.post("/texts")
    async def create(texts: Texts) -> None: ...

    fields = app.openapi()["components"]["schemas"]["Texts"]["properties"]
    assert fields["free"]["examples"] == ["string"]
    assert fields["short"]["examples"] == ["str"]
    assert fields["long"]["anyOf"][0]["examples"] == ["stringgg"]
    assert fields["own"]["anyOf"][0]["examples"] == ["mine"]
    assert "examples" not in fields["given"]


def test_filter_has_no_example(document: dict[str, Any]) -> None:
    for parameter in document["paths"]["/things"]["get"]["parameters"]:
        assert "examples" not in parameter["schema"], parameter["name"]
