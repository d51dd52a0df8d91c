"""Pages for people: server-rendered, without inline script or style, live by the operator's event stream.

They show and call the same use cases as the operator's API, and link into Prefect's UI instead of copying it.
"""

from sidecar.relay.pages.routes import routes

__all__ = ["routes"]
