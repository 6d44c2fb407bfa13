"""A proxy before Qdrant: unchanged clients point at it, and what they write is captured.

Reads pass through as they are. A write is announced to the log, sent, and ended:
the same three steps as in every feed.

===========  =============================================================
``routes``   what each request can do to points
``bodies``   the points that a REST write names
``messages`` the points that a gRPC write names
``changes``  both, in the words of the model
``aliases``  where a write goes, whatever it calls it
``gate``     announce, send, end
``rest``     Qdrant's REST, passed on
``rpc``      Qdrant's gRPC, passed on
``upstream`` the Qdrant behind it
``refusals`` what the proxy answers itself
``server``   both servers on one event loop
===========  =============================================================
"""

from vecferry.producers.feeds.proxy.options import ProxyOptions
from vecferry.producers.feeds.proxy.server import Proxy

__all__ = ["Proxy", "ProxyOptions"]
