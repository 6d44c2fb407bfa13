"""The vendors' clients, captured: the application keeps its code and its types."""

import threading
from typing import Any, TypeVar, Unpack

from vecferry.errors import ConfigError
from vecferry.producers.feeds.feed import Feed
from vecferry.producers.feeds.options import FeedOptions

_C = TypeVar("_C")
_LOCK = threading.Lock()
_FEEDS: dict[tuple[str, str, str], Feed] = {}
_QDRANT = ("QdrantClient", "AsyncQdrantClient")
_MILVUS = ("MilvusClient", "AsyncMilvusClient")
_PINECONE = ("Index", "AsyncIndex")


def captured(
    client: _C, *, migration: str, bootstrap_servers: str, **options: Unpack[FeedOptions]
) -> _C:
    """Return a client whose writes are captured: same methods, types and exceptions.

    It is of a subclass of ``client``'s class and shares its connection. Clients
    that are captured alike in one process share a feed.

    Args:
        client: A ``QdrantClient``, ``AsyncQdrantClient``, ``MilvusClient``,
            ``AsyncMilvusClient``, or Pinecone's ``Index`` or ``AsyncIndex`` (not the
            one over gRPC), or of a subclass.
        migration: The migration's name.
        bootstrap_servers: Of its Kafka.
        **options: See :class:`~vecferry.producers.feeds.options.FeedOptions`.

    Raises:
        ConfigError: It is another client, or is captured already, or its
            timeout is longer than ``request_max_s``.
    """
    feed = _feed(migration, bootstrap_servers, options)
    return captured_by(feed, client)


def captured_by(feed: Feed, client: _C) -> _C:
    """As :func:`captured`, with a feed of the caller's own."""
    found: Any = client
    names = {(base.__module__.split(".")[0], base.__name__) for base in type(client).__mro__}
    if any(("qdrant_client", name) in names for name in _QDRANT):
        from vecferry.producers.feeds.clients.qdrant import RULES as QDRANT_RULES
        from vecferry.producers.feeds.clients.qdrant import check_timeout
        from vecferry.producers.feeds.clients.wrapping import capture

        check_timeout(client, feed)
        found = capture(client, feed, QDRANT_RULES)
    elif any(("pymilvus", name) in names for name in _MILVUS):
        from vecferry.producers.feeds.clients.milvus import RULES as MILVUS_RULES
        from vecferry.producers.feeds.clients.wrapping import capture

        found = capture(client, feed, MILVUS_RULES)
    elif any(("pinecone", name) in names for name in _PINECONE):
        from vecferry.producers.feeds.clients.pinecone import RULES as PINECONE_RULES
        from vecferry.producers.feeds.clients.wrapping import capture

        found = capture(client, feed, PINECONE_RULES)
    else:
        raise ConfigError(
            f"a {type(client).__name__} cannot be captured: it may be one of "
            f"{', '.join(_QDRANT + _MILVUS + _PINECONE)}. Use Feed.writing, the sidecar or the proxy"
        )
    return found  # type: ignore[no-any-return]


def _feed(migration: str, bootstrap_servers: str, options: FeedOptions) -> Feed:
    key = (migration, bootstrap_servers, repr(sorted(options.items())))
    with _LOCK:
        feed = _FEEDS.get(key)
        if feed is None or feed.is_closed:
            feed = _FEEDS[key] = Feed(migration, bootstrap_servers, **options)
    return feed
