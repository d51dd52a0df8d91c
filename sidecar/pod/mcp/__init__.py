"""The tools an agent calls, over MCP. Each is one call to the relay; the relay decides, this only asks."""
