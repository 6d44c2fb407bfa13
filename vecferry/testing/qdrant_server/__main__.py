"""Run the server: ``python -m vecferry.testing.qdrant_server --path DIR --port 6333 …``."""

import argparse
import importlib.util
import os
import sys
import types
from pathlib import Path


def _without_the_client() -> None:
    """Let ``qdrant_client.grpc`` be imported without the client around it.

    The client's own ``__init__`` takes two seconds to import, most of it models
    that only a client needs; a server that tests start again and again must not.
    """
    spec = importlib.util.find_spec("qdrant_client")
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("the messages of qdrant-client are needed: install vecferry[qdrant]")
    shell = types.ModuleType("qdrant_client")
    shell.__path__ = list(spec.submodule_search_locations)
    sys.modules["qdrant_client"] = shell


def main() -> None:
    """Serve until SIGTERM, which closes the collections in order."""
    parser = argparse.ArgumentParser(prog="python -m vecferry.testing.qdrant_server")
    parser.add_argument("--path", type=Path, required=True, help="where the data is")
    parser.add_argument("--port", type=int, default=6333, help="REST, on 127.0.0.1")
    parser.add_argument("--grpc-port", type=int, default=6334, help="gRPC, on 127.0.0.1")
    parser.add_argument("--version", default="1.19.0", help="what it says it is")
    parser.add_argument("--api-key-env", help="the variable that holds the API key")
    arguments = parser.parse_args()
    _without_the_client()
    # After the shell is in place: these import the messages.
    import uvicorn

    from vecferry.testing.qdrant_server import rest, rpc
    from vecferry.testing.qdrant_server.server import Server

    name = arguments.api_key_env
    arguments.path.mkdir(parents=True, exist_ok=True)
    server = Server(arguments.path, os.environ[name] if name else None, arguments.version)
    try:
        grpc_server = rpc.serve(server, arguments.grpc_port)
        # Both ports are open before REST's, which whoever starts this waits for.
        uvicorn.run(
            rest.application(server),
            host="127.0.0.1",
            port=arguments.port,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        grpc_server.stop(1).wait()
    finally:
        server.close()


if __name__ == "__main__":
    main()
