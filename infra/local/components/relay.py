"""The relay, configured as `sidecar.settings.RelaySettings` reads it."""

import sys

from infra.local import probes, secrets
from infra.local.component import Component
from infra.local.components import forge, nats, postgres
from infra.local.ports import HOST
from infra.local.stack import Stack


def component(stack: Stack) -> Component:
    return Component(
        name="relay",
        argv=(sys.executable, "-m", "sidecar", "relay"),
        directory=stack.state.part("relay"),
        environment=environment(stack),
        after=("postgres", "nats"),
        is_ready=probes.http(stack.ports["relay"], "/readyz"),
        url=stack.urls["relay"],
        stop_seconds=8,  # its own grace for open streams is 5
        start_seconds=180,  # on a first start it waits for migrations, as Prefect does
    )


def environment(stack: Stack) -> dict[str, str]:
    secret = stack.state.secret
    urls = stack.urls
    return {
        **postgres.password_file(stack),
        "X1_HOST": HOST,
        "X1_PORT": str(stack.ports["relay"]),
        "X1_PUBLIC_URL": urls["relay"],
        "X1_DATABASE_URL": postgres.url(stack, "psycopg", "x1"),
        "X1_BUS_URL": urls["nats"],
        "X1_BUS_ACCOUNT_SEED_FILE": str(nats.account_seed(stack)),
        "X1_BUS_CREDS_FILE": str(nats.relay_creds(stack)),
        "X1_PREFECT_API_URL": stack.prefect_api_url,
        "X1_PREFECT_AUTH_FILE": str(secret("prefect-auth")),
        "X1_PREFECT_UI_URL": urls["prefect"],
        "X1_OPERATOR_TOKEN_FILE": str(secret("operator-token")),
        "X1_ACTIVATION_TOKEN_FILE": str(secret("activation-token")),
        "X1_SESSION_KEY_FILE": str(secret("session-key.pem")),
        "X1_FORGE_API_URL": urls["forge"],
        "X1_FORGE_GIT_URL": urls["forge"],
        "X1_FORGE_APP_ID": forge.APP_ID,
        "X1_FORGE_KEY_FILE": str(secret("forge-key.pem")),
        "X1_SECRETS_DIR": str(secret(secrets.NAMED)),
        "X1_WATCHED_DISK": str(stack.state.root),
        "X1_PREVIEW_URL_TEMPLATE": urls["previews"],
    }
