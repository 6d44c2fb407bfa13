"""What gRPC's status codes mean where a database gives them no meaning of its own."""

from collections.abc import Mapping

import grpc

from vecferry.stores.outcomes import Meaning

CODES: Mapping[grpc.StatusCode, Meaning] = {
    grpc.StatusCode.CANCELLED: "unknown",
    grpc.StatusCode.UNKNOWN: "unknown",
    grpc.StatusCode.INVALID_ARGUMENT: "record",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unknown",
    grpc.StatusCode.NOT_FOUND: "halt",  # the collection has gone
    grpc.StatusCode.ALREADY_EXISTS: "exists",
    grpc.StatusCode.PERMISSION_DENIED: "rights",
    grpc.StatusCode.UNAUTHENTICATED: "rights",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "refused",  # REST's 429
    grpc.StatusCode.FAILED_PRECONDITION: "refused",  # a shard is being moved
    grpc.StatusCode.ABORTED: "unknown",
    grpc.StatusCode.OUT_OF_RANGE: "record",
    grpc.StatusCode.UNIMPLEMENTED: "old",
    grpc.StatusCode.INTERNAL: "unknown",
    grpc.StatusCode.UNAVAILABLE: "unknown",  # a stream that broke; see Connection for refused
    grpc.StatusCode.DATA_LOSS: "halt",
}
"""Every code but OK."""
