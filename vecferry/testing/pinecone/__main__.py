"""Run the service: ``python -m vecferry.testing.pinecone --port 5080``."""

import argparse
import os

import uvicorn

from vecferry.testing.pinecone.application import Service


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m vecferry.testing.pinecone")
    parser.add_argument("--port", type=int, default=5080, help="on 127.0.0.1")
    parser.add_argument("--api-key-env", help="the variable that holds the API key")
    arguments = parser.parse_args()
    name = arguments.api_key_env
    uvicorn.run(
        Service(os.environ[name] if name else None).application(),
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
