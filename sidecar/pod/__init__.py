"""The trusted service beside one agent. It knows no database, no Prefect, and runs no git."""
