"""The OpenAPI document, made of the models, and a page that shows it without anything from elsewhere."""

import html
import json
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from vecferry import __version__
from vecferry.producers.feeds.sidecar.bodies import (
    Accepted,
    Begin,
    End,
    Found,
    Health,
    Opened,
    Refusal,
    Renew,
)

_REF = "#/components/schemas/{model}"


class Operation(NamedTuple):
    """One path: its method, what it takes and gives, and what it is for."""

    path: str
    method: str
    takes: type[BaseModel] | None
    gives: type[BaseModel]
    summary: str


OPERATIONS = (
    Operation(
        "/v1/writes/begin",
        "post",
        Begin,
        Opened,
        "Before a write is sent to the source. On 503 do not send it.",
    ),
    Operation(
        "/v1/writes/found",
        "post",
        Found,
        Accepted,
        "The ids that a filter matches, before its write is sent.",
    ),
    Operation(
        "/v1/writes/renew",
        "post",
        Renew,
        Opened,
        "When `send_within_s` is over and the write was not sent yet. On 410 begin again.",
    ),
    Operation(
        "/v1/writes/end",
        "post",
        End,
        Accepted,
        "After the write: its outcome. On 410 its time is over, and its ids are read without it.",
    ),
    Operation("/healthz", "get", None, Health, "Whether the log answers."),
)

_REFUSALS = {
    "400": "The request is not understood.",
    "401": "The bearer token is missing or wrong.",
    "410": "There is no such ticket: it was ended, or its time is over.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "503": "The log does not answer, or too much is open: again after `Retry-After` seconds.",
}


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    models: list[type[BaseModel]] = [Begin, Found, Renew, End, Opened, Accepted, Health, Refusal]
    _, schemas = models_json_schema(
        [(one, "validation") for one in models],
        ref_template=_REF,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vecferry sidecar",
            "version": __version__,
            "description": "Tells a migration which points a write may change, before and after it.",
        },
        "paths": {one.path: {one.method: _operation(one)} for one in OPERATIONS},
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    answers = {"200": {"description": one.gives.__doc__, "content": _content(one.gives)}}
    refusals = _REFUSALS if one.takes else {"503": _REFUSALS["503"]}
    for code, text in refusals.items():
        answers[code] = {"description": text, "content": _content(Refusal)}
    found: dict[str, Any] = {
        "operationId": one.path.rsplit("/", 1)[-1],
        "summary": one.summary,
        "responses": answers,
    }
    if one.takes is not None:
        found["requestBody"] = {"required": True, "content": _content(one.takes)}
        found["security"] = [{"token": []}, {}]
    return found


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#8881;padding:.7rem;overflow:auto;font-size:.85rem}"
    "h2{margin-top:2rem}code{font-family:ui-monospace,monospace}"
)


def page() -> str:
    """Return the page that shows the document."""
    found = document()
    schemas = found["components"]["schemas"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width">',
        f"<title>Vecferry sidecar</title><style>{_STYLE}</style>",
        f"<h1>Vecferry sidecar</h1><p>{html.escape(found['info']['description'])} ",
        "The document itself is <a href=/openapi.json>/openapi.json</a>.</p>",
    ]
    for one in OPERATIONS:
        parts.append(f"<h2><code>{one.method.upper()} {html.escape(one.path)}</code></h2>")
        parts.append(f"<p>{html.escape(one.summary)}</p>")
        for title, model in (("It takes", one.takes), ("It answers", one.gives)):
            if model is not None:
                shown = json.dumps(schemas[model.__name__], indent=2, ensure_ascii=False)
                parts.append(f"<details><summary>{title} {model.__name__}</summary>")
                parts.append(f"<pre>{html.escape(shown)}</pre></details>")
    parts.append("<h2>Refusals</h2><ul>")
    parts += [f"<li>{code}: {html.escape(text)}</li>" for code, text in _REFUSALS.items()]
    parts.append("</ul></html>")
    return "".join(parts)
