"""Every ordered pair of databases moves a nasty corpus, and each field ends as the plan rated it.

``docs/matrix.md`` says what the plans say; VECFERRY_TEST_WRITE=1 writes it anew.
"""

import contextlib
import itertools
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from vecferry.ports import Store
from vecferry.testing.matrix import fill, mismatches, move, plan_move, table
from vecferry.testing.nasty import corpus

NAMES = ("milvus", "pgvector", "pinecone", "qdrant", "weaviate")
PAGE = Path(__file__).parents[3] / "docs" / "matrix.md"
HEAD = """# From any database to any other

What becomes of the corpus of the tests (`vecferry/testing/nasty.py`: every kind of id, the
same id in two namespaces, every trap of payloads, each kind of vector that the source has)
on the way from one database to another, as `vecferry plan` rates it. A test moves it between
every two and back, and holds each field against its rating: *exact* is the same bits,
*widened* another number type that holds every value, *carried* is kept in a reserved field
and restored on the way back. *Lossy* and *dropped* must be acknowledged by name; *refused*
is what cannot go at all. Fields of the payload are named where they are not exact, which is
a matter of what the corpus puts into them: yours are rated by a sample of your points. Made by
a test; Milvus is 2.3.5 here.

"""

PAIRS = [
    pytest.param(pair, marks=[pytest.mark.milvus] if "milvus" in pair else [], id="_to_".join(pair))
    for pair in itertools.permutations(NAMES, 2)
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("databases", PAIRS, indirect=True)
def test_each_field_ends_as_the_plan_rated_it_and_comes_back(
    databases: Mapping[str, Store],
) -> None:
    source, target = databases.values()
    moved = []
    for nasty in corpus(source.capabilities):
        with contextlib.ExitStack() as stack:
            there = fill(source, nasty)
            stack.callback(there.drop)
            held = there.points()
            plan = plan_move(there, target)
            if plan.obstacles:
                continue  # the plan says why it cannot go
            arrived = move(there, target, plan)
            stack.callback(arrived.drop)
            assert mismatches(plan, held, arrived.points()) == [], nasty.what
            moved.append(nasty.what)
            back = plan_move(arrived, source)
            assert back.obstacles == (), nasty.what
            returned = move(arrived, source, back)
            stack.callback(returned.drop)
            assert mismatches(plan, held, returned.points()) == [], nasty.what
    assert moved


@pytest.mark.milvus
@pytest.mark.timeout(600)
def test_the_page_says_what_the_plans_say(databases: Mapping[str, Store]) -> None:
    assert sorted(databases) == sorted(NAMES)
    made = HEAD + table({name: databases[name] for name in NAMES})
    if os.environ.get("VECFERRY_TEST_WRITE"):
        PAGE.write_text(made)
    assert PAGE.read_text() == made, "VECFERRY_TEST_WRITE=1 writes it anew"
