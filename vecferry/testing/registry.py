"""A small stand-in for the Confluent schema registry: its REST, in a thread.

It keeps subjects, versions and numbers in memory, checks compatibility by
Avro's rules at the level that is set, knows basic authentication, and can be
told to fail. Its answers and error codes are the registry's.
"""

import base64
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from fastavro import schema as avro

from vecferry.schemas import evolution

_TYPE = "application/vnd.schemaregistry.v1+json"
_LEVELS = {
    f"{direction}{reach}"
    for direction in ("BACKWARD", "FORWARD", "FULL")
    for reach in ("", "_TRANSITIVE")
} | {"NONE"}


class Refusal(Exception):  # noqa: N818 - an answer of the registry
    """An answer that is not 200."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Subjects:
    """What a registry knows, without HTTP.

    Attributes:
        numbers: Each schema's text by its number.
        versions: Each subject's numbers, oldest first.
        levels: The compatibility level of each subject that has its own; ``""``
            is everybody's.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, str] = {}
        self.versions: dict[str, list[int]] = {}
        self.levels: dict[str, str] = {"": "BACKWARD"}
        self._next = count(1)

    def register(self, subject: str, text: str) -> int:
        """Return the number of a schema under a subject; a new one is checked first."""
        _require_avro(text)
        known = self.find(subject, text)
        if known is not None:
            return known
        reasons = self.reasons(subject, text)
        if reasons:
            raise Refusal(
                409, 409, f"Schema being registered is incompatible: {'; '.join(reasons)}"
            )
        number = next((n for n, old in self.numbers.items() if _same(old, text)), None)
        if number is None:
            number = next(self._next)
            self.numbers[number] = text
        self.versions.setdefault(subject, []).append(number)
        return number

    def find(self, subject: str, text: str) -> int | None:
        """Return the number of a schema if the subject has it."""
        numbers = self.versions.get(subject, [])
        return next((n for n in numbers if _same(self.numbers[n], text)), None)

    def reasons(self, subject: str, text: str) -> list[str]:
        """Return why a schema may not become the subject's next version."""
        level = self.levels.get(subject, self.levels[""])
        older = [json.loads(self.numbers[n]) for n in self.versions.get(subject, [])]
        if not level.endswith("_TRANSITIVE"):
            older = older[-1:]
        new, found = json.loads(text), []
        for old in older:
            if level.startswith(("BACKWARD", "FULL")):
                found += evolution.unreadable(new, old)
            if level.startswith(("FORWARD", "FULL")):
                found += evolution.unreadable(old, new)
        return found


class RegistryServer:
    """A running stand-in, on a free port of 127.0.0.1; a context manager.

    Attributes:
        subjects: What it knows.
        requests: Every request it answered, as ``"GET /schemas/ids/1"``.
    """

    def __init__(self, *, user: str = "", password: str = "") -> None:
        self.subjects = Subjects()
        self.requests: list[str] = []
        self._wanted = base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._failures: list[int] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail_next(self, status: int, times: int = 1) -> None:
        """Answer the next requests with an error."""
        with self._lock:
            self._failures += [status] * times

    def __enter__(self) -> Self:
        """Start answering."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; the port is closed afterwards."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, login: str, body: Any) -> Any:
        """Return the JSON of an answer, or raise a Refusal."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            if self._failures:
                raise Refusal(self._failures.pop(0), 50001, "told to fail")
            if self._wanted and login != f"Basic {self._wanted}":
                raise Refusal(401, 40101, "Unauthorized")
            for pattern, verb, route in _ROUTES:
                match = re.fullmatch(pattern, path)
                if match and verb == method:
                    return route(self.subjects, *map(unquote, match.groups()), body)
            raise Refusal(404, 404, "HTTP 404 Not Found")


def _register(subjects: Subjects, subject: str, body: Any) -> Any:
    return {"id": subjects.register(subject, body["schema"])}


def _lookup(subjects: Subjects, subject: str, body: Any) -> Any:
    number = subjects.find(subject, body["schema"])
    if number is None:
        raise Refusal(404, 40403, "Schema not found")
    version = subjects.versions[subject].index(number) + 1
    return {"subject": subject, "id": number, "version": version, "schema": body["schema"]}


def _by_number(subjects: Subjects, number: str, _body: Any) -> Any:
    text = subjects.numbers.get(int(number))
    if text is None:
        raise Refusal(404, 40403, f"Schema {number} not found")
    return {"schema": text}


def _list_versions(subjects: Subjects, subject: str, _body: Any) -> Any:
    return list(range(1, len(_of(subjects, subject)) + 1))


def _version(subjects: Subjects, subject: str, version: str, _body: Any) -> Any:
    numbers = _of(subjects, subject)
    index = len(numbers) if version == "latest" else int(version)
    if not 1 <= index <= len(numbers):
        raise Refusal(404, 40402, f"Version {version} not found.")
    number = numbers[index - 1]
    return {
        "subject": subject,
        "id": number,
        "version": index,
        "schema": subjects.numbers[number],
    }


def _compatible(subjects: Subjects, subject: str, _version: str, body: Any) -> Any:
    _require_avro(body["schema"])
    return {"is_compatible": not subjects.reasons(subject, body["schema"])}


def _level(subjects: Subjects, subject: str, _body: Any) -> Any:
    if subject not in subjects.levels:
        raise Refusal(404, 40408, f"Subject '{subject}' does not have subject-level compatibility")
    return {"compatibilityLevel": subjects.levels[subject]}


def _set_level(subjects: Subjects, subject: str, body: Any) -> Any:
    if body["compatibility"] not in _LEVELS:
        raise Refusal(422, 42203, "Invalid compatibility level")
    subjects.levels[subject] = body["compatibility"]
    return body


def _of(subjects: Subjects, subject: str) -> list[int]:
    if subject not in subjects.versions:
        raise Refusal(404, 40401, f"Subject '{subject}' not found.")
    return subjects.versions[subject]


_ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    (r"/subjects", "GET", lambda subjects, _body: sorted(subjects.versions)),
    (r"/subjects/([^/]+)", "POST", _lookup),
    (r"/subjects/([^/]+)/versions", "GET", _list_versions),
    (r"/subjects/([^/]+)/versions", "POST", _register),
    (r"/subjects/([^/]+)/versions/(\d+|latest)", "GET", _version),
    (r"/schemas/ids/(\d+)", "GET", _by_number),
    (r"/compatibility/subjects/([^/]+)/versions/(\d+|latest)", "POST", _compatible),
    (r"/config/?([^/]*)", "GET", _level),
    (r"/config/?([^/]*)", "PUT", _set_level),
]


def _same(one: str, other: str) -> bool:
    return bool(json.loads(one) == json.loads(other))


def _require_avro(text: str) -> None:
    try:
        avro.parse_schema(json.loads(text))
    except (ValueError, KeyError, avro.SchemaParseException, avro.UnknownType) as error:
        raise Refusal(422, 42201, "Input schema is an invalid Avro schema") from error


def _handler(server: RegistryServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def do_PUT(self) -> None:
            self._reply()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _reply(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            login, path = self.headers.get("Authorization", ""), urlsplit(self.path).path
            status = 200
            try:
                answer = server.answer(self.command, path, login, body)
            except Refusal as error:
                status = error.status
                answer = {"error_code": error.code, "message": error.message}
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(payload)

    return Handler
