"""Milvus 2.3 to 2.6 and Milvus Lite 3.2: gRPC, vectors as bytes, an own cursor."""

from vecferry.settings import StoreSettings
from vecferry.stores.milvus.store import MilvusStore

__all__ = ["MilvusStore", "connect"]


def connect(settings: StoreSettings) -> MilvusStore:
    """Return the store; nothing is sent before its first request.

    Raises:
        ConfigError: The address, a file or a combination of settings is wrong.
    """
    return MilvusStore(settings)
