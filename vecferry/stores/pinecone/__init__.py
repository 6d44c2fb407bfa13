"""Pinecone's serverless indexes: REST, read-your-write by log sequence numbers."""

from vecferry.settings import StoreSettings
from vecferry.stores.pinecone.store import PineconeStore

__all__ = ["PineconeStore", "connect"]


def connect(settings: StoreSettings) -> PineconeStore:
    """Return the store; nothing is sent before its first request.

    Raises:
        ConfigError: An address, a file or a combination of settings is wrong.
    """
    return PineconeStore(settings)
