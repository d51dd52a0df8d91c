"""Git hosts with an app-token API: one port, one GitHub-shaped client."""
