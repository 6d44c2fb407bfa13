"""The Confluent framing: records that name their schema by its number in a registry.

For clusters whose other tools read schemas from there. A record is a zero, the
schema's number in four bytes (big-endian), and the body. Each of the migration's
topics has the subject ``<topic>-value``; the registry checks a new version
against the older ones by the rules that are set for the subject.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from vecferry import schemas
from vecferry.errors import ConfigError, RecordError, TransientError, VecferryError
from vecferry.log.codec import CONFLUENT, SINGLE_OBJECT, Codec, SingleObjectCodec
from vecferry.log.names import Topics
from vecferry.schemas import Name, Schema, evolution
from vecferry.settings import LogSettings

_HEADER_BYTES = 5
_T = TypeVar("_T")


def open_codec(settings: LogSettings, topics: Topics) -> Codec:
    """Return the codec that the settings ask for.

    Raises:
        ConfigError: A registry is set and its client is not installed, or its
            address is not one.
    """
    if not settings.schema_registry_url:
        return SingleObjectCodec()
    password = settings.schema_registry_password
    return RegistryCodec(
        settings.schema_registry_url,
        topics,
        user=settings.schema_registry_user,
        password="" if password is None else password.get_secret_value(),
    )


class RegistryCodec(Codec):
    """Writes the Confluent framing, and reads it and single-object records.

    A schema is registered when its first record is encoded and asked for when
    its first record is decoded; every later record costs no request. Threads
    may share one.

    ``encode_*`` and ``decode_*`` also raise TransientError while the registry
    does not answer, and ConfigError when it refuses the schema or the user.
    """

    def __init__(
        self,
        url: str,
        topics: Topics,
        *,
        user: str = "",
        password: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """Take the registry's address; nothing is sent yet.

        Args:
            url: One address, or several with commas between.
            topics: Give the subjects their names.
            user: For basic authentication.
            password: For basic authentication.
            timeout_s: Of one try of a request, and there are four.

        Raises:
            ConfigError: The client is not installed, or the address is not one.
        """
        super().__init__()
        self._url = _without_secrets(url)
        self._subjects: dict[Name, str] = {
            "hint": f"{topics.hints}-value",
            "event": f"{topics.events}-value",
            "dead": f"{topics.dead}-value",
            "control": f"{topics.control}-value",
        }
        self._client, self._refused, self._schema_class = _connect(
            {
                "url": url,
                "timeout": timeout_s,
                "retries.wait.ms": 200,
                "retries.max.wait.ms": 2_000,
                **({"basic.auth.user.info": f"{user}:{password}"} if user else {}),
            },
            self._url,
        )
        self._single = SingleObjectCodec()
        self._headers: dict[Name, bytes] = {}
        self._written: dict[tuple[Name, bytes], Schema] = {}
        self._lock = threading.Lock()

    def header(self, name: Name) -> bytes:
        """Return the five bytes before a record; the first time, register the schema.

        Raises:
            ConfigError: The registry finds the schema incompatible with an
                earlier version of the subject, or refuses the user.
            TransientError: The registry does not answer.
        """
        header = self._headers.get(name)
        if header is None:
            with self._lock:
                header = self._headers.get(name) or self._register(name)
                self._headers[name] = header
        return header

    def schema_of(self, name: Name, data: bytes) -> tuple[Schema, int]:
        """Return the schema that the number names, and 5.

        Raises:
            RecordError: The header is not one, or the registry does not know
                the number, or its schema cannot be read as such a record.
            ConfigError: The registry refuses the user.
            TransientError: The registry does not answer.
        """
        header = data[:_HEADER_BYTES]
        schema = self._written.get((name, header))
        if schema is None:
            if data.startswith(SINGLE_OBJECT):
                return self._single.schema_of(name, data)
            if not data.startswith(CONFLUENT) or len(data) < _HEADER_BYTES:
                raise RecordError(
                    f"a record of {len(data)} bytes is not a {name} record: "
                    f"it starts with {header[:2].hex() or 'nothing'}"
                )
            schema = self._ask(name, int.from_bytes(header[1:], "big"))
            self._written[name, header] = schema
        return schema, _HEADER_BYTES

    def _register(self, name: Name) -> bytes:
        subject = self._subjects[name]
        text = orjson.dumps(schemas.source(name)).decode()
        wanted = self._schema_class(text, "AVRO")
        number = self._request(
            lambda: self._client.register_schema(subject, wanted), f"register {subject}"
        )
        return CONFLUENT + int(number).to_bytes(4, "big")

    def _ask(self, name: Name, number: int) -> Schema:
        found = self._request(
            lambda: self._client.get_schema(number), f"read schema {number} of a {name} record"
        )
        try:
            written: Schema = orjson.loads(found.schema_str)
            reasons = evolution.unreadable(schemas.source(name), written)
        except (TypeError, ValueError, LookupError) as error:
            raise RecordError(f"schema {number} at {self._url} is not an Avro schema") from error
        if reasons:
            raise RecordError(
                f"schema {number} at {self._url} cannot be read as a {name} record: "
                + "; ".join(reasons)
            )
        if schemas.fingerprint_of(written) == schemas.fingerprint(name):
            return schemas.load(name)
        return schemas.parse(written)

    def _request(self, send: Callable[[], _T], doing: str) -> _T:
        try:
            return send()
        except self._refused as error:
            raise self._translate(error, doing) from error
        except (TypeError, ValueError) as error:  # an answer that is no JSON
            raise ConfigError(
                f"{doing}: what answers at {self._url} is not a schema registry; "
                "check schema_registry_url under [log]"
            ) from error
        except Exception as error:  # the HTTP library's own: no connection, no answer
            raise TransientError(
                f"{doing}: the schema registry at {self._url} does not answer "
                f"({type(error).__name__})"
            ) from error

    def _translate(self, error: Any, doing: str) -> VecferryError:
        status, text = error.http_status_code, f"{doing} at {self._url}: {error.error_message}"
        if status in (401, 403):
            return ConfigError(
                f"{text}. Check schema_registry_user and VECFERRY_LOG__SCHEMA_REGISTRY_PASSWORD"
            )
        if status == 409:
            return ConfigError(
                f"{text}. The subject holds a schema that this release's cannot follow: "
                "use another migration name or the release that wrote it"
            )
        if status == 404:
            return RecordError(text)
        if status == 429 or status >= 500:
            return TransientError(text)
        return ConfigError(text)


def _connect(conf: dict[str, Any], shown: str) -> tuple[Any, type[Exception], Any]:
    """Return the client, the class of its refusals, and its class of schemas."""
    try:
        from confluent_kafka.schema_registry import Schema as RegisteredSchema
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError
    except ImportError as error:
        raise ConfigError(
            f"schema_registry_url is set and the registry's client is not installed "
            f"({error.name} is missing): pip install 'vecferry[registry]'"
        ) from error
    try:
        return SchemaRegistryClient(conf), SchemaRegistryError, RegisteredSchema
    except (TypeError, ValueError) as error:
        raise ConfigError(f"schema_registry_url {shown!r} is not an address: http://…") from error


def _without_secrets(url: str) -> str:
    return ",".join(_bare(part.strip()) for part in url.split(","))


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
