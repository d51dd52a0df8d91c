"""A registry with one image of no layers, `base:1`, that has too much to do while it is told so."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
).encode()
MANIFEST_KIND = "application/vnd.oci.image.manifest.v1+json"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST_KIND,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": _digest(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [],
    }
).encode()
CONTENT = {
    "/v2/": b"{}",
    "/v2/base/manifests/1": MANIFEST,
    f"/v2/base/manifests/{_digest(MANIFEST)}": MANIFEST,
    f"/v2/base/blobs/{_digest(CONFIG)}": CONFIG,
}


class BusyRegistry:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.address = "{}:{}".format(*server.server_address)
        self.is_busy = True


@contextmanager
def busy_registry(host: str) -> Iterator[BusyRegistry]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = CONTENT.get(self.path.partition("?")[0])
            self.send_response(429 if registry.is_busy else 404 if content is None else 200)
            told = b"" if registry.is_busy or content is None else content
            self.send_header("content-length", str(len(told)))
            self.send_header("content-type", MANIFEST_KIND)
            self.send_header("docker-content-digest", _digest(told))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(told)

        do_HEAD = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Answer) as server:
        registry = BusyRegistry(server)
        thread = threading.Thread(target=server.serve_forever, name="busy registry")
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join(10)
