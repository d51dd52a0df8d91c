"""The ledger: PostgreSQL behind a port, with an in-memory double. It knows no HTTP, bus or Prefect."""
