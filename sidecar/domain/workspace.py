"""A workspace is a tenant: its agents' previews have a namespace of their own on a cluster.

Installation, relay and preview flows must agree on what that namespace is called, and on what they say of a
workspace that has none.
"""

from typing import Final

DEFAULT: Final = "default"
"""Every installation has it."""
_BEGINNING: Final = "x1-previews-"
LONGEST: Final = 63 - len(_BEGINNING)
"""A namespace's name is a DNS label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""


def previews_namespace(workspace: str) -> str:
    return f"{_BEGINNING}{workspace}"


def unknown(workspace: str) -> str:
    """Says that previews of this workspace have no place, and what to do about it."""
    return (
        f"workspace {workspace} is not among the installation's: add it to `workspaces` in the "
        "settings and `x1 cluster upgrade --settings FILE`"
    )
