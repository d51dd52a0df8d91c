"""Every page and form, and the static files."""

from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from sidecar.relay.pages import people, previews, sessions, signing_in

STATIC = Path(__file__).parent / "static"

routes: list[BaseRoute] = [
    *signing_in.routes,
    *sessions.routes,
    *previews.routes,
    *people.routes,
    Mount("/static", StaticFiles(directory=STATIC)),
]
