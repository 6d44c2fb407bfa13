"""A gRPC server that answers as a test says, for what no real one does on demand."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from qdrant_client import grpc as qdrant

from vecferry.settings import StoreSettings
from vecferry.stores.qdrant import QdrantStore

Answer = Callable[[bytes, Any], bytes]


class ScriptedServer(grpc.GenericRpcHandler):
    """Answers each path with what was scripted for it, and keeps the requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.metadata: list[dict[str, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, details):
        def answer(request: bytes, context: Any) -> bytes:
            self.requests.append((details.method, request))
            self.metadata.append(dict(context.invocation_metadata()))
            if details.method not in self.answers:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "not scripted")
            return self.answers[details.method](request, context)

        return grpc.unary_unary_rpc_method_handler(answer)

    def reply(self, path: str, *messages: Any) -> None:
        """Answer with these messages in turn, the last one for ever."""
        left = [message.SerializeToString() for message in messages]
        self.answers[path] = lambda _request, _context: left.pop(0) if len(left) > 1 else left[0]

    def fail(self, path: str, code: grpc.StatusCode, **metadata: str) -> None:
        def refuse(_request: bytes, context: Any) -> bytes:
            context.set_trailing_metadata(
                tuple((name.replace("_", "-"), value) for name, value in metadata.items())
            )
            context.abort(code, "scripted")
            raise AssertionError

        self.answers[path] = refuse

    def collection(self, info: Any) -> None:
        """Have one collection, described so."""
        exists = qdrant.CollectionExistsResponse(result=qdrant.CollectionExists(exists=True))
        self.reply("/qdrant.Collections/CollectionExists", exists)
        self.reply("/qdrant.Collections/Get", qdrant.GetCollectionInfoResponse(result=info))

    def of(self, path: str) -> list[bytes]:
        return [request for name, request in self.requests if name == path]

    def stop(self) -> None:
        self._server.stop(None).wait(30)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def store(server: ScriptedServer) -> Iterator[QdrantStore]:
    settings = StoreSettings(
        type="qdrant",
        url="http://127.0.0.1:6333",
        grpc_url=f"127.0.0.1:{server.port}",
        api_key="secret-key",
        timeout_s=30,
    )
    opened = QdrantStore(settings)
    yield opened
    opened.close()


@pytest.fixture
def dense_info() -> Any:
    """A collection with one unnamed vector of four dimensions."""
    params = qdrant.VectorParams(size=4, distance=qdrant.Distance.Dot)
    config = qdrant.CollectionConfig(
        params=qdrant.CollectionParams(vectors_config=qdrant.VectorsConfig(params=params))
    )
    return qdrant.CollectionInfo(config=config)
