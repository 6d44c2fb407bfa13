"""Partitions as Kafka's own default partitioner gives them."""

import pytest

from vecferry.log.partition import murmur2, partition_of
from vecferry.model import Key, key_bytes

# the vectors of Kafka's own tests of Utils.murmur2
KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), KNOWN.items())
def test_the_hash_is_kafkas(data, signed):
    assert murmur2(data) == signed % 2**32


@pytest.mark.parametrize("length", range(9))
def test_every_length_of_tail_counts_each_of_its_bytes(length):
    data = bytes(range(1, length + 1))
    changed = {murmur2(data[:i] + b"\xff" + data[i + 1 :]) for i in range(length)}
    assert len(changed | {murmur2(data)}) == length + 1


def test_a_negative_hash_is_masked_and_not_negated():
    # -973932308 & 0x7fffffff, as Utils.toPositive; its absolute value would give another partition
    assert partition_of(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7
    assert partition_of(b"21", 7) != abs(-973932308) % 7


def test_every_partition_gets_its_share_of_ordinary_keys():
    counts = [0] * 6
    for number in range(6000):
        counts[partition_of(key_bytes(Key("docs", "", number)), 6)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200


def test_one_partition_takes_all():
    assert {partition_of(str(number).encode(), 1) for number in range(50)} == {0}
