"""A runtime without a model: an ACP agent that plays a YAML script, so that a charter can be tried for nothing.

It is a process like every other runtime, and as hostile or as well-behaved as its script: real commands in
the real working tree, real tools over MCP. It knows no wake, lease or relay; what it is prompted with is text.
The language is described in README.md beside this file; `python -m sidecar.scripted check FILE` judges a script.
"""
