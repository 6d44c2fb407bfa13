"""Weaviate 1.27 and newer: REST for classes, gRPC for objects."""

from vecferry.settings import StoreSettings
from vecferry.stores.weaviate.store import WeaviateStore

__all__ = ["WeaviateStore", "connect"]


def connect(settings: StoreSettings) -> WeaviateStore:
    """Return the store; nothing is sent before its first request.

    Raises:
        ConfigError: An address, a file or a combination of settings is wrong.
    """
    return WeaviateStore(settings)
