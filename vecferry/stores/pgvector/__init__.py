"""PostgreSQL with pgvector: any table with a vector column, vectors in binary both ways."""

from vecferry.settings import StoreSettings
from vecferry.stores.pgvector.store import PgvectorStore

__all__ = ["PgvectorStore", "connect"]


def connect(settings: StoreSettings) -> PgvectorStore:
    """Return the store; nothing is sent before its first request.

    Raises:
        ConfigError: The address, a file or a combination of settings is wrong.
    """
    return PgvectorStore(settings)
