"""An agent's block as the agent file that a human applies: the way back from Prefect's UI.

Nothing is judged here. Prefect's server takes any edit, so what a block holds is passed on as it stands,
fields nobody knows included, and whoever reads the file finds everything that is wrong with it.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

BLOCK_TYPE: Final = "x1-agent"


def agent_file(slug: str, data: Mapping[str, Any]) -> str:
    """The YAML of `sidecar.wire.agent_file`. `slug` is the block's name, `data` its document's JSON."""
    fields = {name: value for name, value in data.items() if value is not None}
    hosts = fields.pop("allow_hosts", None)
    network = {"network": {"allow_hosts": hosts}} if hosts else {}
    return yaml.safe_dump({**fields, **network, "slug": slug}, sort_keys=False)
