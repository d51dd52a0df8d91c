"""The operator's API: what a human, or a human's script, does. No internal token opens any of it.

It reads requests and calls use cases; what a session may do is decided elsewhere.
"""

from sidecar.relay.operator.routes import routes

__all__ = ["routes"]
