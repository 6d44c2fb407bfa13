"""The store against a scripted server, for what no real one does on request."""

import base64
import itertools
import re
from concurrent import futures

import grpc
import numpy as np
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc, schema_pb2

from vecferry.errors import ConfigError, HaltError, RecordError, TransientError, UnknownOutcome
from vecferry.model import Collection, Dense, Image, Key, VectorSpec
from vecferry.ports import Bounds, Ref, Store, Write
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.stores.milvus import write as writing
from vecferry.stores.milvus.scan import OTHERS
from vecferry.testing.certificates import Authority

REF = Ref("docs", "docs")
LOADED = common_pb2.LoadStateLoaded


class Script(milvus_pb2_grpc.MilvusServiceServicer):
    """A Milvus with integer keys 0, 1, ... and vectors of two components."""

    def __init__(self):
        self.version = "v2.6.1"
        self.keys = {"_default": list(range(10))}
        self.load_state = LOADED
        self.page = lambda keys: keys
        self.reply = None
        self.rows_max = 10**6
        self.upserts, self.queries, self.metadata = [], [], {}
        self.auto_id = False
        self.created, self.dropped, self.fail_index = [], [], False

    def GetVersion(self, request, context):  # noqa: N802
        self.metadata = dict(context.invocation_metadata())
        return milvus_pb2.GetVersionResponse(version=self.version)

    def DescribeCollection(self, request, context):  # noqa: N802
        if request.collection_name != "docs":
            gone = common_pb2.Status(code=100, reason="text")
            return milvus_pb2.DescribeCollectionResponse(status=gone)
        schema = schema_pb2.CollectionSchema(name="docs", enable_dynamic_field=True)
        pk = schema.fields.add(name="id", data_type=schema_pb2.Int64, is_primary_key=True)
        pk.autoID = self.auto_id
        schema.fields.add(name="v", data_type=schema_pb2.FloatVector).type_params.add(
            key="dim", value="2"
        )
        return milvus_pb2.DescribeCollectionResponse(schema=schema)

    def ShowCollections(self, request, context):  # noqa: N802
        if dict(context.invocation_metadata()).get("dbname") == "gone":
            gone = common_pb2.Status(code=800, reason="text")
            return milvus_pb2.ShowCollectionsResponse(status=gone)
        return milvus_pb2.ShowCollectionsResponse(collection_names=["docs", "aaa"])

    def ShowPartitions(self, request, context):  # noqa: N802
        return milvus_pb2.ShowPartitionsResponse(partition_names=list(self.keys))

    def CreatePartition(self, request, context):  # noqa: N802
        self.keys[request.partition_name] = []
        return common_pb2.Status(code=1, reason="another worker was first")

    def GetLoadState(self, request, context):  # noqa: N802
        return milvus_pb2.GetLoadStateResponse(state=self.load_state)

    def AllocTimestamp(self, request, context):  # noqa: N802
        return milvus_pb2.AllocTimestampResponse(timestamp=77)

    def DescribeIndex(self, request, context):  # noqa: N802
        return milvus_pb2.DescribeIndexResponse(status=common_pb2.Status(code=700))

    def Query(self, request, context):  # noqa: N802
        self.queries.append(request)
        params = {pair.key: pair.value for pair in request.query_params}
        matches = re.sub(r"\bid\b", "key", request.expr)  # it reads as Python does
        keys = [key for key in self.keys[request.partition_names[0]] if eval(matches, {"key": key})]
        keys = self.page(keys[: int(params["limit"])])
        if len(keys) > self.rows_max:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "text")
        reply = milvus_pb2.QueryResults()
        reply.fields_data.add(field_name="id", type=5).scalars.long_data.data.extend(keys)
        vectors = reply.fields_data.add(field_name="v", type=101).vectors
        vectors.dim = 2
        vectors.float_vector.data.extend([0.5, 1.5] * len(keys))
        meta = reply.fields_data.add(field_name="$meta", type=23, is_dynamic=True)
        meta.scalars.json_data.data.extend([b"{}"] * len(keys))
        return reply

    def Upsert(self, request, context):  # noqa: N802
        self.upserts.append(request)
        if isinstance(self.reply, grpc.StatusCode):
            context.abort(self.reply, "text")
        return self.reply or milvus_pb2.MutationResult(upsert_cnt=request.num_rows, timestamp=5)

    def CreateCollection(self, request, context):  # noqa: N802
        self.created.append(schema_pb2.CollectionSchema.FromString(request.schema))
        return common_pb2.Status()

    def CreateIndex(self, request, context):  # noqa: N802
        return (
            common_pb2.Status(code=1100, reason="text") if self.fail_index else common_pb2.Status()
        )

    def LoadCollection(self, request, context):  # noqa: N802
        return common_pb2.Status()

    def DropCollection(self, request, context):  # noqa: N802
        self.dropped.append(request.collection_name)
        return common_pb2.Status()


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def server(script):
    running = grpc.server(futures.ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(script, running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield port, running
    running.stop(None).wait()


@pytest.fixture
def store(server):
    opened = open_store(settings(server[0]))
    yield opened
    opened.close()


def settings(port, **more):
    return StoreSettings(type="milvus", url=f"http://127.0.0.1:{port}", **more)


def write(id=1, value=0.5, namespace=""):
    vector = Dense("float32", 2, np.array([value, 1], "<f4").tobytes())
    return Write(Key("docs", namespace, id), Image({"v": vector}))


def ids(pages):
    return [[point.key.id for point in page] for page in pages]


def test_it_is_a_store(store):
    assert isinstance(store, Store)


def test_what_it_can_hold_follows_the_version(store, script):
    assert "float16" not in store.capabilities.dtypes
    assert store.version() == "Milvus 2.6.1"
    assert {"float16", "bfloat16", "int8"} < store.capabilities.dtypes
    assert store.capabilities.sparse


def test_nothing_at_the_address_is_named(server):
    port, running = server
    running.stop(None).wait()
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*check url"):
        open_store(settings(port)).version()


def test_another_service_at_the_address_is_named():
    other = grpc.server(futures.ThreadPoolExecutor(1))
    port = other.add_insecure_port("127.0.0.1:0")
    other.start()
    with pytest.raises(ConfigError, match="UNIMPLEMENTED"):
        open_store(settings(port)).version()
    other.stop(None).wait()


def test_a_ca_file_without_tls_is_a_contradiction(tmp_path):
    with pytest.raises(ConfigError, match="tls"):
        open_store(settings(1, ca_file=tmp_path / "ca.pem"))


def test_a_database_that_is_not_there_shows_at_once(server):
    opened = open_store(settings(server[0], database="gone"))
    with pytest.raises(ConfigError, match="'gone'"):
        opened.version()
    opened.close()


def test_tls_with_an_authority_of_ones_own(script, tmp_path):
    authority = Authority(tmp_path)
    pem = authority.keystore.read_bytes()
    running = grpc.server(futures.ThreadPoolExecutor(2))
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(script, running)
    port = running.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
    running.start()
    trusted = StoreSettings(
        type="milvus", url=f"https://127.0.0.1:{port}", ca_file=authority.ca_file
    )
    opened = open_store(trusted)
    assert opened.version() == "Milvus 2.6.1"
    opened.close()
    stranger = open_store(StoreSettings(type="milvus", url=f"https://127.0.0.1:{port}"))
    with pytest.raises(ConfigError, match="no connection"):
        stranger.version()
    stranger.close()
    running.stop(None).wait()


@pytest.mark.parametrize(
    ("more", "secret"),
    [({"token": "abc"}, "abc"), ({"user": "me", "password": "pw"}, "me:pw")],
)
def test_credentials_and_the_database_go_with_every_request(server, script, more, secret):
    opened = open_store(settings(server[0], database="other", **more))
    opened.version()
    opened.close()
    assert script.metadata["authorization"] == base64.b64encode(secret.encode()).decode()
    assert script.metadata["dbname"] == "other"


def test_a_scan_sees_one_timestamp_and_ends_at_an_empty_page(store, script):
    script.page = lambda keys: keys[:4]
    assert ids(store.scan(REF, Bounds())) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert {query.guarantee_timestamp for query in script.queries} == {77}
    params = {pair.key: pair.value for pair in script.queries[0].query_params}
    assert (params["iterator"], params["reduce_stop_for_best"]) == ("True", "True")


def test_a_scan_goes_on_behind_a_key(store):
    assert ids(store.scan(REF, Bounds(), after=Key("docs", "", 7))) == [[8, 9]]


def test_a_page_out_of_order_halts(store, script):
    script.page = lambda keys: [*keys[1:], *keys[:1]]
    with pytest.raises(HaltError, match="out of order"):
        list(store.scan(REF, Bounds()))


def test_a_page_that_goes_back_halts(store, script):
    script.page = lambda keys: [0, 1]
    with pytest.raises(HaltError, match="out of order"):
        list(store.scan(REF, Bounds()))


def test_a_page_that_is_too_large_is_asked_for_in_halves(store, script):
    script.rows_max = 3
    assert list(itertools.chain(*ids(store.scan(REF, Bounds())))) == list(range(10))


def test_a_row_that_is_too_large_by_itself_is_an_error(store, script):
    script.rows_max = 0
    with pytest.raises(RecordError, match="RESOURCE_EXHAUSTED"):
        list(store.scan(REF, Bounds()))


def test_a_collection_that_is_not_loaded_is_the_users_to_load(store, script):
    script.load_state = common_pb2.LoadStateNotLoad
    with pytest.raises(ConfigError, match="load_collection"):
        list(store.scan(REF, Bounds()))
    with pytest.raises(ConfigError, match="load_collection"):
        store.plan_chunks("docs", 5)


def test_the_chunks_also_cover_partitions_that_come_later(store, script):
    script.keys["b"] = [0, 1, 2]
    chunks = store.plan_chunks("docs", 4)
    script.keys |= {"c": [5], "d": [0, 7]}
    seen = [point.key for chunk in chunks for page in store.scan(REF, chunk) for point in page]
    expected = {
        *(Key("docs", "", at) for at in range(10)),
        *(Key("docs", "b", at) for at in range(3)),
        *(Key("docs", "c", 5), Key("docs", "d", 0), Key("docs", "d", 7)),
    }
    assert set(seen) == expected
    assert len(seen) == len(expected)
    assert [chunk.namespace for chunk in chunks] == ["", "", "", "b", OTHERS]
    last = chunks[-1]
    assert ids(store.scan(REF, last, after=Key("docs", "d", 0))) == [[7]]


def test_a_missing_collection_is_named_with_the_nearest(store):
    with pytest.raises(ConfigError, match="did you mean 'docs'"):
        store.describe("doc")


def test_without_an_index_the_metric_is_not_guessed(store):
    assert store.describe("docs").vectors == (VectorSpec("v", dim=2),)


def test_keys_that_milvus_makes_are_refused_in_a_target(store, script):
    script.auto_id = True
    with pytest.raises(ConfigError, match="auto_id"):
        store.write(REF, [write()])


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnknownOutcome),
        (grpc.StatusCode.UNAVAILABLE, UnknownOutcome),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, RecordError),
        (milvus_pb2.MutationResult(status=common_pb2.Status(code=8)), TransientError),
        (milvus_pb2.MutationResult(status=common_pb2.Status(code=1100)), RecordError),
        (milvus_pb2.MutationResult(status=common_pb2.Status(code=100)), HaltError),
        (milvus_pb2.MutationResult(upsert_cnt=0), UnknownOutcome),
    ],
)
def test_a_write_that_fails_says_whether_it_may_have_landed(store, script, reply, expected):
    script.reply = reply
    with pytest.raises(expected) as caught:
        store.write(REF, [write()])
    assert type(caught.value) is expected or expected is RecordError


def test_a_refused_connection_changed_nothing(store, server):
    store.version()
    store.write(REF, [write()])
    server[1].stop(None).wait()
    with pytest.raises(TransientError):  # the connection that stood broke
        store.write(REF, [write()])
    with pytest.raises(TransientError) as caught:
        store.write(REF, [write()])
    assert not isinstance(caught.value, UnknownOutcome)
    assert "nothing was sent" in str(caught.value)


def test_a_request_is_over_after_its_time(server, script):
    opened = open_store(settings(server[0], timeout_s=0.5))
    opened.version()
    release = futures.Future()
    script.page = lambda keys: release.result()
    with pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
        list(opened.scan(REF, Bounds()))
    release.set_result([])
    opened.close()


def test_a_vector_that_is_not_finite_is_refused_and_the_others_are_written(store, script):
    failures = store.write(REF, [write(1), write(2, np.nan), write(3)])
    assert [failure.key.id for failure in failures] == [2]
    assert [request.num_rows for request in script.upserts] == [2]


def test_requests_are_sized_in_bytes(store, script, monkeypatch):
    monkeypatch.setattr(writing, "REQUEST_BYTES", 150)
    assert store.write(REF, [write(at) for at in range(5)]) == []
    assert [request.num_rows for request in script.upserts] == [2, 2, 1]


def test_two_keys_with_one_id_are_never_one_row(store, script):
    first, second = write(1), Write(Key("other", "", 1), write(1).image)
    (failure,) = store.write(REF, [first, second])
    assert "docs/1" in failure.reason
    assert "other/1" in failure.reason


def test_a_partition_that_another_worker_made_is_used(store, script):
    assert store.write(REF, [write(1, namespace="b")]) == []
    assert script.upserts[0].partition_name == "b"


def test_a_collection_is_made_whole_or_not_at_all(store, script):
    script.fail_index = True
    made = Collection("new", (VectorSpec("v", dim=2, metric="l2"),))
    with pytest.raises(ConfigError, match="indexing 'v'"):
        store.create(made)
    assert script.dropped == ["new"]


@pytest.mark.parametrize(
    ("collection", "says"),
    [
        (Collection("docs", (VectorSpec("v", dim=2, metric="l2"),)), "already"),
        (Collection("new", (VectorSpec("v", dim=2),)), "collections.metrics"),
        (Collection("new", (VectorSpec("v", dim=2, metric="l1"),)), "'l1'"),
        (Collection("new", (VectorSpec("", dim=2, metric="l2"),)), "collections.vectors"),
        (Collection("new", (VectorSpec("v", "multi", dim=2, metric="l2"),)), "multi"),
    ],
)
def test_a_schema_that_milvus_cannot_hold_is_refused_before_anything_is_made(
    store, script, collection, says
):
    with pytest.raises(ConfigError, match=says):
        store.create(collection)
    assert script.created == []


def test_only_integers_make_an_int64_key(store, script):
    spec = (VectorSpec("v", dim=2, metric="l2"),)
    store.create(Collection("new", spec, frozenset({"int"})))
    store.create(Collection("new", spec, frozenset({"int", "uuid"})))
    store.create(Collection("new", spec, frozenset({"str"}), id_bytes_max=1000))
    keys = [(made.fields[0].data_type, made.fields[0].type_params) for made in script.created]
    assert [kind for kind, _ in keys] == [schema_pb2.Int64, schema_pb2.VarChar, schema_pb2.VarChar]
    assert [params[0].value for _, params in keys[1:]] == ["512", "1000"]
