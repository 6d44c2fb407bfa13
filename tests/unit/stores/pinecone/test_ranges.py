from hypothesis import assume, given
from hypothesis import strategies as st

from vecferry.stores.pinecone.places import Place
from vecferry.stores.pinecone.ranges import (
    Range,
    cut_between,
    cut_ids,
    following,
    prefixes,
    range_within,
)

ids = st.text(st.sampled_from("\x01ab~\x7f"), min_size=1, max_size=4)
edges = st.none() | ids


@given(ids, edges, edges)
def test_an_id_of_a_range_has_exactly_one_of_its_prefixes(
    native: str, low: str | None, high: str | None
) -> None:
    part = Range(low, high)
    found = [prefix for prefix in prefixes(part) if native.startswith(prefix)]
    if part.holds(native):
        assert len(found) == 1
    assert len(found) <= 1


@given(edges, edges)
def test_prefixes_come_in_the_order_of_ids(low: str | None, high: str | None) -> None:
    found = list(prefixes(Range(low, high)))
    assert found == sorted(found)


def test_a_small_range_lists_little_more_than_itself() -> None:
    assert list(prefixes(Range("02a", "051"))) == ["02", "03", "04", "05"]
    assert list(prefixes(Range("doc-1", "doc-2"))) == ["doc-1", "doc-2"]
    assert list(prefixes(Range(None, "b"))) == [""]


@given(ids, ids)
def test_a_cut_lies_between(one: str, other: str) -> None:
    assume(one != other)
    before, after = sorted([one, other])
    assert before < cut_between(before, after) <= after


@given(ids)
def test_the_following_id_is_the_least_above(native: str) -> None:
    assert native < following(native)
    assert following(native) == native + "\x01"


@given(st.sets(ids, min_size=1), st.integers(1, 4))
def test_cuts_make_parts_of_that_size(found: set[str], points: int) -> None:
    ordered = sorted(found)
    cuts = list(cut_ids(ordered, points))
    parts = [Range(low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True)]
    sizes = [sum(part.holds(native) for native in ordered) for part in parts]
    assert sum(sizes) == len(ordered)
    assert all(size == points for size in sizes[:-1])
    assert 0 < sizes[-1] <= points


@given(st.sampled_from("abc"), ids, st.tuples(st.sampled_from("abc"), ids | st.just("")))
def test_a_place_lies_on_one_side_of_an_edge(
    namespace: str, native: str, edge: tuple[str, str]
) -> None:
    cut = Place(*edge)
    below = range_within(namespace, None, cut)
    above = range_within(namespace, cut, None)
    is_below = below is not None and below.holds(native)
    is_above = above is not None and above.holds(native)
    assert is_below != is_above
    assert is_below == (Place(namespace, native) < cut)
