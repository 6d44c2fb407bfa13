"""Digests tell apart what differs, and add up in any order."""

import itertools

import numpy as np
import pytest

from vecferry.digest import MODULUS, Sums, bucket, digest, digest_image, sum_bytes
from vecferry.model import Dense, Image, Key, Multi, Point, Sparse, key_bytes

KEY = Key("docs", "", 1)
RNG = np.random.default_rng(7)


def dense(*values: float) -> Dense:
    return Dense("float32", len(values), np.array(values, "<f4").tobytes())


def point(vectors: dict, payload: bytes = b"{}", key: Key = KEY) -> Point:
    return Point(key, Image(vectors, payload))


def unit(rows: np.ndarray) -> np.ndarray:
    """Normalise as a database does: in float32."""
    return (rows / np.sqrt((rows * rows).sum(axis=1, dtype="f4"))[:, None]).astype("<f4")


FOUR = b"\x01\0\0\0"
DIFFERENT = [
    point({}),
    point({}, b'{"a":1}'),
    point({}, b'{"a":1.0}'),
    point({}, key=Key("docs", "", "1")),
    point({}, key=Key("docs", "n", 1)),
    point({"": dense(1.0)}),
    point({"": dense(-0.0)}),
    point({"": dense(0.0)}),
    point({"a": dense(1.0)}),
    point({"a": dense(1.0), "b": dense(1.0)}),
    point({"a": dense(1.0, 1.0)}),
    point({"": Dense("int8", 4, FOUR)}),
    point({"": Dense("uint8", 4, FOUR)}),
    point({"": Dense("binary", 32, FOUR)}),
    point({"": Dense("float16", 2, FOUR)}),
    point({"": Dense("bfloat16", 2, FOUR)}),
    point({"": Multi("int8", 4, 1, FOUR)}),
    point({"": Multi("int8", 2, 2, FOUR)}),
    point({"": Multi("int8", 1, 4, FOUR)}),
    point({"": Sparse(FOUR, FOUR)}),
    point({"": Sparse(FOUR + FOUR, b"")}),
    point({"": Sparse(b"", FOUR + FOUR)}),
    point({"ab": dense(1.0), "c": dense(1.0)}),
    point({"a": dense(1.0), "bc": dense(1.0)}),
]


def test_points_that_differ_in_anything_have_different_digests() -> None:
    assert len({digest(p) for p in DIFFERENT}) == len(DIFFERENT)


def test_bytes_that_move_from_one_field_to_the_next_change_the_digest() -> None:
    """Without lengths in front these all would be one string of bytes."""
    whole = b"abcdef"
    moved = [
        point({"v": Sparse(whole[:i], whole[i:j])}, whole[j:])
        for i, j in itertools.combinations_with_replacement(range(7), 2)
    ]
    assert len({digest(p) for p in moved}) == len(moved)


def test_the_order_of_vectors_does_not_matter() -> None:
    a, b = dense(1.0), dense(2.0)
    assert digest(point({"a": a, "b": b})) == digest(point({"b": b, "a": a}))


def test_a_digest_is_the_same_in_every_release() -> None:
    """Certificates of an older release are held against sums of a newer one."""
    known = point({"b": dense(1.0, 2.0), "a": Sparse(FOUR, FOUR)}, b'{"n":1}')
    assert f"{digest(known):032x}" == "5fded550a9a99239fd7e6d9dea1fe768"
    assert digest_image(key_bytes(KEY), known.image) == digest(known)


def test_rounded_directions_forget_the_norm_and_the_last_bits() -> None:
    rows = RNG.standard_normal((500, 256)).astype("<f4")
    suspects = 0
    for row, other in zip(rows, unit(rows), strict=True):
        a, b = (point({"": Dense("float32", 256, r.tobytes())}) for r in (row, other))
        assert digest(a) != digest(b)
        suspects += digest(a, {"": 1e-6}) != digest(b, {"": 1e-6})
    assert suspects <= 10


def test_rounded_directions_still_tell_what_really_differs() -> None:
    rows = unit(RNG.standard_normal((200, 256)).astype("<f4"))
    noisy = rows + RNG.standard_normal(rows.shape).astype("<f4") * np.float32(1e-4)
    seen = sum(
        digest(point({"": Dense("float32", 256, a.tobytes())}), {"": 1e-6})
        != digest(point({"": Dense("float32", 256, b.tobytes())}), {"": 1e-6})
        for a, b in zip(rows, noisy, strict=True)
    )
    assert seen == 200


def test_rounding_is_for_the_named_vectors_only() -> None:
    one, two = point({"a": dense(3.0, 4.0)}), point({"a": dense(6.0, 8.0)})
    assert digest(one, {"a": 1e-6}) == digest(two, {"a": 1e-6})
    assert digest(one, {"b": 1e-6}) != digest(two, {"b": 1e-6})


@pytest.mark.parametrize("tolerance", [0.0, 1e-13])
def test_no_tolerance_means_every_bit(tolerance: float) -> None:
    one, two = point({"": dense(3.0, 4.0)}), point({"": dense(6.0, 8.0)})
    assert digest(one, {"": tolerance}) != digest(two, {"": tolerance})


def test_each_row_of_a_multivector_has_its_own_direction() -> None:
    def multi(*values: float) -> Point:
        return point({"": Multi("float32", 2, 2, np.array(values, "<f4").tobytes())})

    rounded = {"": 1e-6}
    assert digest(multi(3, 4, 1, 0), rounded) == digest(multi(6, 8, 5, 0), rounded)
    assert digest(multi(3, 4, 1, 0), rounded) != digest(multi(1, 0, 3, 4), rounded)


def test_half_floats_are_rounded_and_bytes_are_not() -> None:
    half = [Dense("float16", 2, np.array(v, "<f2").tobytes()) for v in ([3, 4], [6, 8])]
    brain = [Dense("bfloat16", 2, cut(v)) for v in ([3, 4], [6, 8])]
    whole = [Dense("int8", 2, bytes(v)) for v in ([3, 4], [6, 8])]
    for pair, equal in ((half, True), (brain, True), (whole, False)):
        first, second = (digest(point({"": v}), {"": 1e-6}) for v in pair)
        assert (first == second) is equal


def cut(values: list[float]) -> bytes:
    """bfloat16: the upper half of each float32."""
    return (np.array(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_without_a_direction_has_a_digest_too(value: float) -> None:
    assert digest(point({"": dense(value, 0.0)}), {"": 1e-6}) < MODULUS


def test_sums_do_not_depend_on_the_order_or_on_who_scanned() -> None:
    points = [point({}, key=Key("docs", "", n)) for n in range(300)]
    whole, first, second = Sums(16), Sums(16), Sums(16)
    for at, p in enumerate(reversed(points)):
        whole.add(key_bytes(p.key), digest(p))
        (first if at % 3 else second).add(key_bytes(p.key), digest(p))
    first.merge(second)
    assert first == whole
    assert whole.count == 300
    assert whole.total == sum(map(digest, points)) % MODULUS
    assert len(whole) == 16
    assert min(whole.counts) > 0


def test_unequal_names_the_bucket_of_what_differs() -> None:
    mine, theirs = Sums(64), Sums(64)
    for n in range(100):
        key = key_bytes(Key("docs", "", n))
        mine.add(key, n)
        theirs.add(key, n + (n == 42))
    assert mine.unequal(theirs) == [bucket(key_bytes(Key("docs", "", 42)), 64)]
    assert mine.unequal(mine) == []


def test_a_point_that_is_there_twice_is_seen_though_digests_cancel() -> None:
    """The count catches what the sum alone would not."""
    mine, theirs = Sums(1), Sums(1)
    mine.add(b"k", 0)
    assert mine.unequal(theirs) == [0]


def test_sums_pass_through_json() -> None:
    sums = Sums(8)
    sums.add(b"k", MODULUS - 1)
    sums.add(b"k", 5)
    assert Sums.from_json(8, sums.to_json()) == sums
    assert len(sums.to_json()) == 1


def test_sums_of_other_sizes_are_refused() -> None:
    for wrong in (0, 3, 12):
        with pytest.raises(ValueError, match="power of two"):
            Sums(wrong)
    with pytest.raises(ValueError, match="buckets"):
        Sums(4).merge(Sums(8))
    with pytest.raises(ValueError, match="buckets"):
        Sums(4).unequal(Sums(8))


def test_a_sum_is_sixteen_bytes() -> None:
    assert sum_bytes(MODULUS + 258) == b"\x02\x01" + bytes(14)
