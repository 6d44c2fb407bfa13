"""The null store and the real corpus."""

import pytest

from vecferry.errors import ConfigError
from vecferry.model import Key
from vecferry.ports import Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing import corpus
from vecferry.testing.stores import NullStore

REF = Ref("docs", "docs")


def test_a_null_source_shows_every_point_once() -> None:
    store = open_store(
        StoreSettings(type="vecferry.testing.stores", url="null://docs?points=2500&dim=4")
    )
    assert isinstance(store, Store)
    assert store.count("docs") == 2_500
    keys = [
        point.key.id
        for bounds in store.plan_chunks("docs", 1_000)
        for page in store.scan(REF, bounds)
        for point in page
    ]
    assert keys == list(range(2_500))
    [part] = store.plan_chunks("docs", 10_000)
    behind = [
        p.key.id for page in store.scan(REF, part, after=Key("docs", "", 2_400)) for p in page
    ]
    assert behind == list(range(2_401, 2_500))
    assert store.describe("docs").vectors[0].dim == 4
    [found, absent] = store.read(REF, [Key("docs", "", 3), Key("docs", "", "3")])
    assert found is not None
    assert absent is None


def test_a_null_target_counts_what_it_forgets() -> None:
    store = NullStore(dim=4)
    with pytest.raises(ConfigError):
        store.describe("docs")
    source = NullStore(10, 4)
    store.create(source.describe("docs"))
    writes = [
        Write(p.key, p.image)
        for bounds in source.plan_chunks("docs", 10)
        for page in source.scan(REF, bounds)
        for p in page
    ]
    assert store.write(REF, writes) == []
    assert (store.written, store.count("docs")) == (10, 0)
    assert store.requests == {10: 1}


def test_an_unknown_number_in_a_null_url_is_refused() -> None:
    for url in ("null://docs?pointz=5", "null://docs?points=many"):
        with pytest.raises(ConfigError, match="points"):
            open_store(StoreSettings(type="vecferry.testing.stores", url=url))


def test_the_corpus_is_real_and_the_same_every_time() -> None:
    points = corpus.documents("docs", 300)
    assert [point.key.id for point in points] == list(range(300))
    assert len({point.image.vectors[""] for point in points}) > 295
    assert points == corpus.documents("docs", 300)
    assert len(corpus.texts()) >= 5_000


def test_near_texts_have_near_vectors() -> None:
    """Real embeddings: what random vectors could not show."""
    a, b, c = corpus.embed(
        ["open a file for reading", "read the contents of a file", "compute the cosine of an angle"]
    )
    assert a @ b > a @ c + 0.1
    assert abs(a @ a - 1.0) < 1e-5


def test_more_points_than_passages_are_refused() -> None:
    with pytest.raises(ValueError, match="passages"):
        corpus.documents("docs", 10**7)
