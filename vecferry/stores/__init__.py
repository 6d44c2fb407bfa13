"""The databases: one folder each, imported only when it is asked for."""

import difflib
import importlib
from typing import cast

from vecferry.errors import ConfigError
from vecferry.ports import Store
from vecferry.settings import StoreSettings

__all__ = ["TYPES", "open_store"]

TYPES = ("memory", "milvus", "qdrant")
"""The names that ``type`` can have; an extra of the same name brings the client."""


def open_store(settings: StoreSettings) -> Store:
    """Return the adapter to the database that the settings describe.

    Nothing is sent yet: the first request, :meth:`~vecferry.ports.SchemaPart.version`,
    shows whether the address and the credentials are right.

    Raises:
        ConfigError: The type is unknown (the nearest is named), its client is not
            installed, or the settings contradict each other.
    """
    if settings.type not in TYPES:
        near = difflib.get_close_matches(settings.type, TYPES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"it may be one of {', '.join(TYPES)}"
        raise ConfigError(f"type = {settings.type!r} is not a database that is known: {hint}")
    name = f"vecferry.stores.{settings.type}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("vecferry"):
            raise
        raise ConfigError(
            f"type = {settings.type!r} needs the package {error.name!r}: "
            f"pip install 'vecferry[{settings.type}]'"
        ) from error
    return cast("Store", module.connect(settings))
