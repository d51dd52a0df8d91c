"""Builders: from one revision in a repository to something that a preview target can run.

They know git and the spec; not the relay, not Prefect, and not where the outcome is run.
"""
