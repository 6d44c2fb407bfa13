"""A small server over Qdrant's own engine, for tests on a machine without Docker.

``python -m vecferry.testing.qdrant_server`` speaks the part of Qdrant's REST and
gRPC that the official client and Vecferry's adapter use. What is stored, how it is
rounded, normalised, filtered and searched is the engine's doing; routing,
validation and the two protocols are this package's. Where it differs from a real
server, the real one is right.

Known differences: a write is applied before it is answered, also without ``wait``;
nothing is indexed for search until the collection's parameters are changed, so until
then approximate search is exact; there is one node and one shard.

It is strict: what it does not implement it refuses by name (REST 501, gRPC
``UNIMPLEMENTED``), and a field it does not know is an error, never ignored.

=================  ==================================================================
``refusals``       errors that have an HTTP status and a gRPC code
``fields``         strict reading of a JSON object
``values``         ids, vectors and records: JSON or Python to the engine and back
``schema``         a collection's configuration: JSON to the engine's
``indexes``        payload index parameters
``filters``        filters
``queries``        search requests
``gate``           many readers or one
``reconfigure``    changes of a configuration
``collection``     one collection: the engine's shard and its configuration on disk
``catalog``        all collections, and aliases
``reads writes``   what a request does, once it is JSON
``rest``           routes, for Starlette
``wire``           gRPC messages to that JSON, and back
``records``        points on gRPC
``rpc, rpc_*``     the gRPC services
``server``         what both protocols share
``faults``         errors and delays on demand
=================  ==================================================================
"""
