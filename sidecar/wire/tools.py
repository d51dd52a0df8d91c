"""The names of the MCP tools an agent may see. Arguments and returns are in `protocol` order."""

from typing import Final

EVERYONE: Final = (
    "message_caller",
    "report_to_parent",
    "message_status",
    "expect_quiet_for",
    "emit_status",
    "request_input",
    "end_session",
    "check_preconditions",
    "claim_item",
    "release_item",
    "preview_validate",
    "preview_deploy",
    "preview_status",
    "preview_logs",
    "preview_events",
    "preview_verify",
    "preview_release",
    "preview_rollback",
    "get_cost",
)
WITH_SPAWN: Final = (
    "list_spawnable_agents",
    "spawn_session",
    "inject_message",
    "read_child_output",
    "list_children",
    "cancel_session",
)
WITH_MERGE: Final = ("merge_branch",)
