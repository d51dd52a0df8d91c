"""Previews as the relay keeps them: whose they are, what is asked of them, and what their flow runs report.

It never builds, starts or calls an app: flow runs do, and report back with an operation's token. It does not know
Prefect beyond `sidecar.relay.prefect`.
"""

from sidecar.relay.previews import loop
from sidecar.relay.previews.routes import routes

__all__ = ["loop", "routes"]
