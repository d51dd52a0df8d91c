"""The ledger in memory: the double that passes the same contract tests as PostgreSQL."""

from sidecar.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
