"""The databases: one folder each, imported only when it is asked for."""

import difflib
import importlib
from typing import cast

from vecferry.errors import ConfigError
from vecferry.ports import Store
from vecferry.settings import StoreSettings

__all__ = ["TYPES", "open_store"]

TYPES = ("memory", "milvus", "parquet", "pgvector", "pinecone", "qdrant", "weaviate")
"""The names that ``type`` can have; an extra of the same name brings the client.
A name with dots is the module of an adapter from elsewhere, with a ``connect`` of its own."""


def open_store(settings: StoreSettings) -> Store:
    """Return the adapter to the database that the settings describe.

    Nothing is sent yet: the first request, :meth:`~vecferry.ports.SchemaPart.version`,
    shows whether the address and the credentials are right.

    Raises:
        ConfigError: The type is unknown (the nearest is named), its client is not
            installed, or the settings contradict each other.
    """
    name = settings.type
    if "." not in name:
        if name not in TYPES:
            raise ConfigError(_unknown(name))
        name = f"vecferry.stores.{name}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ConfigError(_not_installed(settings.type, name, error)) from error
    return cast("Store", module.connect(settings))


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, TYPES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it may be one of {', '.join(TYPES)}"
    return f"type = {name!r} is not a database that is known: {hint}"


def _not_installed(given: str, module: str, error: ModuleNotFoundError) -> str:
    if f"{module}.".startswith(f"{error.name}."):
        return f"type = {given!r}: there is no module {error.name!r}"
    if "." in given:
        return f"type = {given!r} needs the module {error.name!r}"
    return f"type = {given!r} needs the package {error.name!r}: pip install 'vecferry[{given}]'"
