"""The egress proxy: the only way out of a session's pod. It knows keys and names; no session, ledger or bus."""
