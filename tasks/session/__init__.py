"""The steps of one activation, in the order a session flow takes them.

`pod` and `workspace` are plain and never import Prefect: a launcher uses them before Prefect is loaded.
"""
