"""Why a request is refused: each class has its HTTP status and its gRPC code."""

import grpc

Code = grpc.StatusCode


class RefusalError(Exception):
    """A request is refused; the message is for whoever sent it."""

    status = 500
    code = Code.INTERNAL
    retry_after_s: int | None = None


class InternalError(RefusalError):
    """The engine broke."""


class BadInputError(RefusalError):
    """The request is wrong."""

    status = 400
    code = Code.INVALID_ARGUMENT


class UnauthorizedError(RefusalError):
    """No API key, or a wrong one."""

    status = 401
    code = Code.UNAUTHENTICATED


class NotFoundError(RefusalError):
    """A collection, point or alias does not exist."""

    status = 404
    code = Code.NOT_FOUND


class TimedOutError(RefusalError):
    """The request took too long; its outcome is unknown to the client."""

    status = 408
    code = Code.DEADLINE_EXCEEDED


class ConflictError(RefusalError):
    """The name is taken."""

    status = 409
    code = Code.ALREADY_EXISTS


class TooLargeError(RefusalError):
    """A REST body is larger than Qdrant's default limit."""

    status = 413
    code = Code.INVALID_ARGUMENT


class ThrottledError(RefusalError):
    """Too many requests: come back after ``retry_after_s``."""

    status = 429
    code = Code.RESOURCE_EXHAUSTED

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NotImplementedHereError(RefusalError):
    """Qdrant can do this and this server can not."""

    status = 501
    code = Code.UNIMPLEMENTED


class UnavailableError(RefusalError):
    """The server is not ready to answer."""

    status = 503
    code = Code.UNAVAILABLE
