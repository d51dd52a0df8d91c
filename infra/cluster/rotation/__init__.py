"""Replacing secrets under running sessions. It knows secrets and workloads, and nothing of sessions."""
