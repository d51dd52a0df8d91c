"""x1 status, env: what the stack says about itself."""

import shlex

import typer

from infra.local.cli import output
from infra.local.errors import NotThere
from infra.local.state import StateDir
from infra.local.status import ComponentState, read, read_running

PUBLIC = ("state_dir", "components", "urls", "operator_token_file")
PUBLIC_OF_COMPONENT = ("name", "state", "pid", "url", "log", "reason", "restarts")


def show_status(state: StateDir, *, as_json: bool) -> None:
    status = read(state)
    components = [
        {key: component[key] for key in PUBLIC_OF_COMPONENT} for component in status["components"]
    ]
    if as_json:
        whole = {**{key: status[key] for key in PUBLIC}, "components": components}
        output.show_json(whole | {"phase": status["phase"]})
    else:
        output.line(f"{status['phase']}: {status['state_dir']}")
        if components:
            output.table(
                ("component", "state", "pid", "url", "reason"),
                (
                    (item["name"], item["state"], item["pid"], item["url"], item["reason"])
                    for item in components
                ),
            )
    absent = [item for item in components if item["state"] != ComponentState.READY]
    if absent or not components:
        raise typer.Exit(NotThere.exit_code)


def show_environment(state: StateDir, *, as_json: bool) -> None:
    """Raises StackNotUp: the lines of a stack that is down would point at nothing."""
    status = read_running(state)
    variables = {
        "PREFECT_API_URL": f"{status['urls']['prefect']}/api",
        "PREFECT_API_AUTH_STRING": state.secret("prefect-auth").read_text().strip(),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "X1_STATE_DIR": str(state.root),
        "X1_RELAY_URL": status["urls"]["relay"],
        "X1_FORGE_URL": status["urls"]["forge"],
        "X1_OPERATOR_TOKEN_FILE": status["operator_token_file"],
    }
    if as_json:
        output.show_json(variables)
        return
    for name, value in variables.items():
        output.line(f"export {name}={shlex.quote(value)}")
