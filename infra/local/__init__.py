"""The one-machine stack and the `x1` command."""
