"""Typed configuration as Prefect Blocks. Blocks name secrets; they never hold any."""
