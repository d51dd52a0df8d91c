"""The login by which nodes pull a preview's images: its own, so that no other repository's image runs in it."""

import json
from typing import Any

from sidecar.wire.previews import OperationBundle
from tasks.previews.kubernetes import environment
from tasks.previews.kubernetes.names import Names, annotations, labels

Object = dict[str, Any]


def login_of(bundle: OperationBundle) -> str:
    """The name of its Secret; empty where images need no login."""
    is_there = bundle.registry and bundle.pull_token.get_secret_value()
    return Names.of(bundle).login if is_there else ""


def secret(bundle: OperationBundle) -> Object | None:
    """Each deploy renews it; it goes with the preview."""
    name = login_of(bundle)
    if not name:
        return None
    auths = {bundle.registry: {"username": "x1", "password": bundle.pull_token.get_secret_value()}}
    content = {".dockerconfigjson": json.dumps({"auths": auths})}
    kind = "kubernetes.io/dockerconfigjson"
    return environment.secret(name, labels(bundle, "login"), content, annotations(bundle), kind)
