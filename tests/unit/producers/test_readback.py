"""Reading hinted keys back: what is asked for together."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vecferry.model import Key, Point, key_bytes
from vecferry.ports import Ref
from vecferry.producers.pending import Due
from vecferry.producers.readback import Reader
from vecferry.stores.memory import Database, MemoryStore


class Recording(MemoryStore):
    """Remembers what each read asked for."""

    def __init__(self, *, positions: bool) -> None:
        super().__init__(Database())
        self.capabilities = replace(self.capabilities, positions=positions)
        self.asked: list[tuple[set[str], str]] = []

    def read(self, ref: Ref, keys: Sequence[Key], position: str = "") -> list[Point | None]:
        self.asked.append(({key.namespace for key in keys}, position))
        return [None for _ in keys]


def due(namespace: str, id: int, position: str) -> Due:
    return Due(key_bytes(Key("docs", namespace, id)), "upsert", position, 0)


DUES = [due("red", 1, "9"), due("red", 2, "10"), due("blue", 1, "3"), due("", 1, "")]


def test_the_newest_position_of_each_namespace_is_read_after() -> None:
    store = Recording(positions=True)
    assert len(Reader(store, ["docs"]).read(DUES)) == len(DUES)
    assert store.asked == [({"red"}, "10"), ({"blue"}, "3"), ({""}, "")]


@pytest.mark.parametrize("positions", [True, False])
def test_a_source_without_positions_is_asked_once(positions: bool) -> None:
    store = Recording(positions=positions)
    Reader(store, ["docs"]).read(DUES)
    assert len(store.asked) == (3 if positions else 1)
