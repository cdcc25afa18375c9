"""The OpenAPI 3.1 document and the page that shows it, with nothing fetched from outside.

The routes come from Litestar; the shapes come from pydantic itself, which knows more of them (which fields
are refused, bounds, examples), and every operation gets the refusals it can answer with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from litestar import Litestar, MediaType, Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import HTTPRoute
from litestar.static_files import create_static_files_router
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.auth import ANYONE, COOKIE, MAY
from api.errors import PROBLEM_JSON, Problem
from api.http.wire import Asked, Told
from api.idempotency import HEADER, REPLAYED_HEADER
from pointsbank.domain.roles import Role

STATIC = Path(__file__).parent / "static"
STATIC_PATH = "/docs/static"
PATH = "/docs"
REFERENCE = "#/components/schemas/{model}"
Mode = Literal["validation", "serialization"]
CHANGES = ("post", "put", "patch", "delete")

DESCRIPTION = """\
Help is asked for, paired, visited and confirmed; the confirmed minutes become points on a double-entry
ledger, are spent at the canteen and the station, settled and audited.

**Amounts** are integers: milli-points (1,000 are one point), minutes, fen. **Moments** carry an offset.
**Lists** are paged: pass `next_after` as `after`; `limit` is at most 200.

**Signing in**: open a sign-in link in a browser (cookie), or send the session as `Authorization: Bearer`.

**Retries**: a POST that changes the ledger needs an `Idempotency-Key` (1–200 visible ASCII characters);
every other POST that changes something takes one. The same request again gets the first answer, with
`Idempotency-Replayed: true`; the same key with another request gets 422 `idempotency_key_reused`; while the
first is under way, 409 `request_in_flight`. Refusals are not kept: what was refused is judged anew.

**Refusals** are RFC 9457 problems with a stable `code`; `title` and `detail` follow `Accept-Language`.
"""

PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pointsbank API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STATIC_PATH}/swagger/swagger-ui.css">
</head>
<body>
<div id="docs" data-document="{PATH}/openapi.json"></div>
<script src="{STATIC_PATH}/swagger/swagger-ui-bundle.js"></script>
<script src="{STATIC_PATH}/docs.js"></script>
</body>
</html>
"""

SUCCESSES: Mapping[str, str] = {"200": "Done.", "201": "Made."}

REFUSALS: Mapping[str, str] = {
    "400": "The request cannot be read, or lacks an Idempotency-Key.",
    "401": "Nobody is signed in.",
    "403": "The caller's roles do not allow it.",
    "404": "There is no such thing in this community.",
    "409": "The state of things does not allow it, or the same request is under way.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "422": "A field breaks a rule, or the Idempotency-Key was used for another request.",
    "500": "A fault of ours.",
    "503": "The database does not answer.",
}


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


PROBLEM_EXAMPLE: Mapping[str, Any] = {
    "type": "urn:pointsbank:problem:insufficient_points",
    "title": "It conflicts with how things stand",
    "status": 409,
    "code": "insufficient_points",
    "detail": "There are not enough points: 1 is there, 6 are needed.",
    "errors": [],
    "facts": {"account_kind": "member_available", "available": 1000, "requested": 6000},
}


def document(app: Litestar) -> dict[str, Any]:
    """Return the app's whole OpenAPI document."""
    told = app.openapi_schema.to_schema()
    shapes = told["components"].setdefault("schemas", {})
    asked: list[tuple[type[BaseModel], Mode]] = [(model, "validation") for model in _models(Asked)]
    answered: list[tuple[type[BaseModel], Mode]] = [(model, "serialization") for model in _models(Told)]
    own = models_json_schema(asked + answered, ref_template=REFERENCE)[1]["$defs"]
    shapes.update(own)
    shapes.update(msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")[1])
    shapes["Problem"]["examples"] = [PROBLEM_EXAMPLE]
    declared = {
        (route.path_format, method.lower()): handler.opt
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
    }
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            _complete(operation, method, declared[path, method], shapes)
    _keep_referenced(told)
    return told


def _complete(
    operation: dict[str, Any], method: str, opt: Mapping[str, Any], shapes: Mapping[str, Any]
) -> None:
    """Add to an operation what its declaration says: who may, its key, its refusals."""
    who = opt.get(MAY)
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    changes, takes_input = method in CHANGES and not opt.get("reads"), bool(operation.get("parameters"))
    statuses = ["500", "503"]
    if isinstance(who, frozenset):
        statuses += ["401", "403"]
        if who != frozenset(Role):
            operation["description"] = f"{operation['description']}\n\nFor: {', '.join(sorted(who))}."
        if changes:
            _add_key(operation, required=bool(opt.get("keyed")))
            statuses += ["400", "409", "422"]
    else:
        operation["security"] = []
    if "requestBody" in operation:
        statuses += ["400", "413", "415", "422"]
    if takes_input:
        statuses.append("422")
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        statuses.append("404")
    operation["responses"] = {
        status: response for status, response in operation["responses"].items() if status < "400"
    }
    for status, response in operation["responses"].items():
        response["description"] = SUCCESSES[status]
        for content in response.get("content", {}).values():
            content["example"] = _example(content["schema"], shapes)
    for status in sorted(set(statuses)):
        operation["responses"][status] = {
            "description": REFUSALS[status],
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }


def _add_key(operation: dict[str, Any], *, required: bool) -> None:
    operation.setdefault("parameters", []).append(
        {
            "name": HEADER,
            "in": "header",
            "required": required,
            "description": "The same key with the same request gets the first answer; it never pays twice.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
            "example": "7f6f0f3e-5f0a-4f0e-9d2f-1f0f8a3c2b11",
        }
    )
    for status, response in operation["responses"].items():
        if status < "400":
            response["headers"] = {
                REPLAYED_HEADER: {
                    "description": "`true` when this answer was given before",
                    "schema": {"type": "string", "enum": ["true"]},
                }
            }


SAMPLES: Mapping[str, Any] = {
    "uuid": "019a8f3c-7b1e-7c3a-9d52-4f6c1e8a2b10",
    "date-time": "2026-11-24T01:00:00Z",
    "date": "2026-11-24",
    "string": "…",
    "integer": 1000,
    "boolean": True,
    "null": None,
}


def _example(schema: Mapping[str, Any], shapes: Mapping[str, Any]) -> Any:
    """Return a value of this shape: the first word of an enumeration, a sample of everything else."""
    if reference := schema.get("$ref"):
        return _example(shapes[reference.rpartition("/")[2]], shapes)
    if known := schema.get("examples"):
        return known[0]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return _example(choices[0], shapes)
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: _example(each, shapes) for name, each in schema["properties"].items()}
        case "object":
            return {}
        case "array":
            return [_example(schema["items"], shapes)]
        case kind:
            return "0" * 64 if schema.get("minLength") == 64 else SAMPLES[schema.get("format", kind)]


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _keep_referenced(told: dict[str, Any]) -> None:
    """Drop the shapes that nothing refers to."""
    shapes, kept, waiting = told["components"]["schemas"], set[str](), list(_references(told["paths"]))
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += _references(shapes[name])
    told["components"]["schemas"] = {name: shapes[name] for name in sorted(kept)}


class Document(OpenAPIRenderPlugin):
    """Serves the document."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._body: bytes | None = None

    def render(self, request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        """Return the whole document as JSON."""
        if self._body is None:
            self._body = msgspec.json.encode(document(request.app))
        return self._body


class Page(OpenAPIRenderPlugin):
    """Serves Swagger UI from our own files."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, _request: Request[Any, Any, Any], _schema: dict[str, Any]) -> bytes:
        """Return the page; its script and style stand in files, as the Content-Security-Policy asks."""
        return PAGE.encode()


def config() -> OpenAPIConfig:
    """Return what Litestar is told about the document; each app has its own."""
    return OpenAPIConfig(
        title="pointsbank",
        version="1",
        description=DESCRIPTION,
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "session": SecurityScheme(type="http", scheme="bearer", description="a session token"),
                "cookie": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
            }
        ),
        security=[{"session": []}, {"cookie": []}],
        tags=[
            Tag("people", "who is signed in, and finding residents"),
            Tag("help requests", "what elders ask for"),
            Tag("series", "what elders ask for again and again"),
            Tag("family and exclusions", "who speaks for an elder, and who is not sent to one"),
            Tag("matching", "pairing runs and offers"),
            Tag("availability", "what volunteers say of themselves, and what they take of their own accord"),
            Tag("visits", "checked in, checked out, put right, confirmed, and what each side says after"),
            Tag("complaints", "complaints about visits, appeals, sanctions"),
            Tag("redemptions", "points on their way to a meal"),
            Tag("giving", "gifts, donations, and until when points last"),
            Tag("decisions", "adjustments, reversals, grants and policy versions: what takes two people"),
            Tag("books", "statements, journal, trial balance, verification"),
            Tag("audit", "an auditor's questions to a period, and the drawn sample"),
            Tag("settlement", "batches, reconciliations, differences"),
            Tag("partners", "events that partners send"),
        ],
        render_plugins=[Document(), Page()],
        openapi_router=Router(PATH, route_handlers=[], opt=ANYONE, include_in_schema=False),
    )


def static_files() -> Router:
    """Return the route that serves Swagger UI's files."""
    return create_static_files_router(
        path=STATIC_PATH, directories=[STATIC], opt=ANYONE, include_in_schema=False, name="docs-static"
    )
