"""A collection's manifest: its schema, and the files that hold its points, in order."""

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from vecferry.errors import HaltError
from vecferry.model import Collection, VectorSpec

FORMAT = 1
NAME = "manifest.json"


class File(NamedTuple):
    """One Parquet file.

    Attributes:
        name: Within the collection's folder.
        rows: Of points and deletes together.
        size: In bytes.
        blake2b: The checksum of all of it, BLAKE2b-256 in hexadecimal digits.
    """

    name: str
    rows: int
    size: int
    blake2b: str

    def require_intact(self, data: bytes, path: str) -> None:
        """Raise unless these are the file's bytes.

        Raises:
            HaltError: They are not; it names the file.
        """
        if len(data) != self.size or checksum(data) != self.blake2b:
            raise HaltError(
                f"{path} is damaged: its {len(data)} bytes are not the {self.size} that were written "
                "(the checksum in the manifest differs); restore it, or export again"
            )


class Manifest(NamedTuple):
    """What a collection's folder holds; of two rows with one key the later one counts."""

    schema: Collection
    identity: str
    files: tuple[File, ...] = ()
    points: int = 0


def checksum(data: bytes) -> str:
    """Return BLAKE2b-256 in hexadecimal digits."""
    return blake2b(data, digest_size=32).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON."""
    schema = asdict(manifest.schema)
    schema["id_types"] = sorted(manifest.schema.id_types)
    body = {
        "format": FORMAT,
        "identity": manifest.identity,
        "points": manifest.points,
        "schema": schema,
        "files": [file._asdict() for file in manifest.files],
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def decode_manifest(data: bytes, path: str) -> Manifest:
    """Read what :func:`encode_manifest` wrote.

    Raises:
        HaltError: It is not a manifest, or of a format that is not known.
    """
    try:
        body = orjson.loads(data)
        if body["format"] != FORMAT:
            raise HaltError(f"{path} has format {body['format']!r}; this version reads {FORMAT}")
        files = tuple(File(**each) for each in body["files"])
        return Manifest(_schema(body["schema"]), body["identity"], files, body["points"])
    except (ValueError, KeyError, TypeError) as error:
        raise HaltError(f"{path} is not a manifest of Vecferry's: restore it") from error


def _schema(body: Mapping[str, Any]) -> Collection:
    fields = {**body}
    fields["vectors"] = tuple(VectorSpec(**each) for each in body["vectors"])
    fields["id_types"] = frozenset(body["id_types"])
    fields["namespaces"] = tuple(body["namespaces"])
    return Collection(**fields)
