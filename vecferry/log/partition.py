"""Which partition a key belongs to: Kafka's default partitioner, over the key's canonical bytes.

The hints and the events of a key must share one partition number, whatever
client writes them and whatever partitions the broker reports today, so the
number is computed here, from the migration's own partition count.

The hash is MurmurHash2 (Austin Appleby, public domain) with the seed of
``org.apache.kafka.common.utils.Utils.murmur2``, the sign bit masked as
``Utils.toPositive`` does.
"""

from functools import lru_cache
from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit hash of ``data``, unsigned."""
    size = len(data)
    words = size >> 2
    h = _SEED ^ size
    for k in _words(words).unpack_from(data):
        k = k * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    tail = data[words << 2 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of canonical key bytes, in ``range(partitions)``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


@lru_cache(512)
def _words(count: int) -> Struct:
    return Struct(f"<{count}I")
