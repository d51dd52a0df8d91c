"""Agents as code, and how they become Prefect deployments."""
