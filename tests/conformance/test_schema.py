"""What a store says of its collections, and how it makes them."""

import inspect

import pytest

from vecferry.errors import ConfigError
from vecferry.ports import ReadPart, ScanPart, SchemaPart, SearchPart, Store, WritePart
from vecferry.stores import open_store
from vecferry.testing.subjects import Subject, create, plain


def test_a_store_speaks_the_whole_protocol(store: Store) -> None:
    assert isinstance(store, Store)
    for part in (SchemaPart, ScanPart, ReadPart, WritePart, SearchPart):
        for name, method in inspect.getmembers(part, inspect.isfunction):
            if not name.startswith("_"):
                wanted = [*inspect.signature(method).parameters][1:]
                assert [*inspect.signature(getattr(store, name)).parameters] == wanted, name
    assert store.version()


def test_a_new_collection_is_as_it_was_asked_for_and_empty(store: Store, alone: Subject) -> None:
    found = store.describe(alone.ref.name)
    assert found.name == alone.ref.name
    assert [(v.name, v.kind, v.dtype, v.dim, v.metric) for v in found.vectors] == [
        (store.capabilities.unnamed_vector, "dense", "float32", 8, "l2")
    ]
    assert store.count(alone.ref.name) == 0
    assert not alone.scan(alone.chunks(10))


def test_collections_are_listed_and_dropped(store: Store) -> None:
    subject = create(store, plain(store.capabilities))
    name = subject.ref.name
    listed = store.collections()
    assert name in listed
    assert listed == sorted(listed)
    store.drop(name)
    store.drop(name)
    assert name not in store.collections()


def test_an_existing_collection_is_not_created_again(store: Store, shared: Subject) -> None:
    with pytest.raises(ConfigError, match=shared.ref.name):
        store.create(store.describe(shared.ref.name))


def test_a_missing_collection_names_the_nearest(store: Store, shared: Subject) -> None:
    with pytest.raises(ConfigError, match=shared.ref.name):
        store.describe(f"{shared.ref.name}x")


def test_closing_twice_is_fine(store: Store, request: pytest.FixtureRequest) -> None:
    settings = request.node.callspec.params["store"]()
    other = open_store(settings)
    other.version()
    other.close()
    other.close()
    assert store.version(), "closing one client closes no other"
