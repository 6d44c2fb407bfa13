"""Qdrant 1.13 to 1.19: gRPC, vectors as bytes."""

from vecferry.settings import StoreSettings
from vecferry.stores.qdrant.store import QdrantStore

__all__ = ["QdrantStore", "connect"]


def connect(settings: StoreSettings) -> QdrantStore:
    """Return the store; nothing is sent before its first request.

    Raises:
        ConfigError: An address, a file or a combination of settings is wrong.
    """
    return QdrantStore(settings)
