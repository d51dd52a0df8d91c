"""Where previews run: one machine's preview host, or a cluster. A target knows the spec and the relay's operation.

It knows nothing of Prefect: the flow's steps are tasks around its verbs.
"""
