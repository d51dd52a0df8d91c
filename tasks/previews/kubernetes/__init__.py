"""Previews in a cluster. Pure modules say what the objects are; `objects_api` applies, lists and removes them.

It knows the spec and the operation's bundle; not Prefect, not the relay.
"""
