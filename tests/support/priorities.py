"""The priority classes that builds and previews name: the cluster's own, so made as an installation makes them."""

import json
from pathlib import Path

import yaml
from clusters import kubectl

MANIFEST = Path(__file__).parents[2] / "infra" / "k8s" / "base" / "priorities.yaml"
APPLY = ("apply", "--server-side", "--field-manager", "x1", "-f", "-")


def ensure() -> None:
    """They stay, labelled as ours: an uninstallation takes them."""
    for each in yaml.safe_load_all(MANIFEST.read_text()):
        each["metadata"]["labels"] = {"app.kubernetes.io/part-of": "x1flows"}
        kubectl(*APPLY, given=json.dumps(each))
