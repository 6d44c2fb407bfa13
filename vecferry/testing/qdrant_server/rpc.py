"""The gRPC services: qdrant.Points, qdrant.Collections, qdrant.Qdrant and their neighbours.

Every method of the protocol has an entry; one that is not implemented says so by
name.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from vecferry.testing.qdrant_server.refusals import NotImplementedHereError, RefusalError
from vecferry.testing.qdrant_server.rpc_collections import COLLECTIONS
from vecferry.testing.qdrant_server.rpc_points import POINTS, WRITES
from vecferry.testing.qdrant_server.server import Server
from vecferry.testing.qdrant_server.wire import require_known

Method = Callable[[Server, Any, Any], None]
"""Fills the reply (third) to a request (second)."""

_THREADS = 16


def _health_check(server: Server, request: Any, reply: Any) -> None:
    reply.title, reply.version = "qdrant - vector search engine", server.version


_METHODS: dict[str, dict[str, Method]] = {
    "qdrant.Points": POINTS,
    "qdrant.Collections": COLLECTIONS,
    "qdrant.Qdrant": {"HealthCheck": _health_check},
    "qdrant.Snapshots": {},
}


def serve(server: Server, port: int) -> Any:
    """Start the gRPC server on 127.0.0.1.

    Raises:
        RuntimeError: The port is taken.
    """
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    rpc = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
    for service in _services():
        methods = _METHODS[service.full_name]
        rpc.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    service.full_name,
                    {
                        one.name: _handler(server, one, methods.get(one.name))
                        for one in service.methods
                    },
                )
            ]
        )
    if not rpc.add_insecure_port(f"127.0.0.1:{port}"):
        raise RuntimeError(f"port {port} is taken")
    rpc.start()
    return rpc


def _services() -> list[Any]:
    from qdrant_client.grpc import (
        collections_service_pb2,
        points_service_pb2,
        qdrant_pb2,
        snapshots_service_pb2,
    )

    files = (collections_service_pb2, points_service_pb2, qdrant_pb2, snapshots_service_pb2)
    return [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]


def _handler(server: Server, method: Any, call: Method | None) -> Any:
    request_class, reply_class = (
        GetMessageClass(method.input_type),
        GetMessageClass(method.output_type),
    )

    def answer(request: Any, context: Any) -> Any:
        began = time.monotonic()
        reply: Any = reply_class()
        metadata = dict(context.invocation_metadata())
        try:
            server.require_key(metadata.get("api-key"), metadata.get("authorization"))
            if call is None:
                name = f"{method.containing_service.full_name}/{method.name}"
                raise NotImplementedHereError(f"{name} is not implemented")
            require_known(request)
            _faulty(server, method.name, lambda: call(server, request, reply))
        except RefusalError as refusal:
            if refusal.retry_after_s is not None:
                context.set_trailing_metadata((("retry-after", str(refusal.retry_after_s)),))
            context.abort(refusal.code, str(refusal))
        if "time" in reply.DESCRIPTOR.fields_by_name:
            reply.time = time.monotonic() - began
        return reply

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request_class.FromString,
        response_serializer=reply_class.SerializeToString,
    )


def _faulty(server: Server, name: str, call: Callable[[], None]) -> None:
    if name in POINTS:
        server.faults.around(name in WRITES, call)
    else:
        call()
