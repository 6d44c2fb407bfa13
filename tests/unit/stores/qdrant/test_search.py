import numpy as np
import pytest
from qdrant_client import grpc as qdrant

from vecferry.errors import ConfigError
from vecferry.model import Dense, Key
from vecferry.ports import Hit, Ref
from vecferry.stores.qdrant import search as module
from vecferry.stores.qdrant import wire

BATCH = "/qdrant.Points/QueryBatch"
QUERY = Dense("float32", 4, np.array([1, 2, 3, 4], "<f4").tobytes())


@pytest.fixture
def answering(server, dense_info):
    server.collection(dense_info)

    def answer(data: bytes, _context: object) -> bytes:
        reply = wire.QueryBatchResponse()
        for _ in wire.QueryBatchPoints.FromString(data).query_points:
            hit = reply.result.add().result.add(score=0.5)
            hit.id.num = 7
            hit.payload["_vf_id"].string_value = "i7"
        return reply.SerializeToString()

    server.answers[BATCH] = answer
    return server


@pytest.mark.parametrize("exact", [True, False])
def test_a_query_is_what_the_vendors_client_would_send(answering, store, exact):
    [[hit]] = store.search(Ref("docs", "old"), "", [QUERY], 5, exact=exact)
    assert hit == Hit(Key("old", "", 7), 0.5)
    sent = qdrant.QueryBatchPoints.FromString(answering.of(BATCH)[0]).query_points[0]
    assert list(sent.query.nearest.dense.data) == [1, 2, 3, 4]
    assert sent.limit == 5
    assert sent.params.exact is exact
    assert not sent.HasField("using")


def test_many_queries_are_answered_in_order(answering, store, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    assert len(store.search(Ref("docs", "docs"), "", [QUERY] * 5, 1)) == 5
    assert len(answering.of(BATCH)) == 3


def test_an_unknown_vector_is_a_matter_of_configuration(answering, store):
    with pytest.raises(ConfigError, match="no vector 'x'"):
        store.search(Ref("docs", "docs"), "x", [QUERY], 1)
