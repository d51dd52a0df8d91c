"""Every tool there is, by name. Which of them a session sees is the relay's decision, at each renewal."""

from typing import Final

from sidecar.pod.mcp import children, messages, previews, work
from sidecar.pod.mcp.tool import Tool

CATALOG: Final[dict[str, Tool]] = {
    tool.name: tool for tool in (*children.TOOLS, *messages.TOOLS, *work.TOOLS, *previews.TOOLS)
}
