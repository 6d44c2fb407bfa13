"""A database in this process's memory: ``memory://name``, for tests and trials.

It holds every kind of vector and every id natively. Stores with the same name
share their points within the process; nothing outlives it. Options follow the
name: ``memory://docs?conditional`` compares versions before it writes,
``memory://docs?normalises`` makes cosine vectors unit length, as Qdrant does.
"""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

from vecferry.errors import ConfigError
from vecferry.settings import StoreSettings
from vecferry.stores.memory.held import Database, database
from vecferry.stores.memory.store import CAPABILITIES, MemoryStore

__all__ = ["CAPABILITIES", "Database", "MemoryStore", "connect", "database"]

_OPTIONS = ("conditional", "normalises")


def connect(settings: StoreSettings) -> MemoryStore:
    """Open the database that ``settings.url`` names; it is made when first asked for.

    Raises:
        ConfigError: The URL is not ``memory://name`` or has an unknown option.
    """
    url = urlsplit(settings.url)
    if url.scheme != "memory" or not url.netloc:
        raise ConfigError(f"url = {settings.url!r}: a memory store is named memory://NAME")
    options = parse_qs(url.query, keep_blank_values=True)
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ConfigError(
            f"url = {settings.url!r}: {unknown[0]!r} is not an option, it may be {' or '.join(_OPTIONS)}"
        )
    capabilities = replace(
        CAPABILITIES,
        conditional_writes="conditional" in options,
        normalises="normalises" in options,
    )
    return MemoryStore(database(url.netloc), capabilities)
