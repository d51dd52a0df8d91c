"""What a relay is made of, chosen here from its settings: the real store, bus, Prefect and forge.

All of them connect when first used, so that a relay comes up whoever is away.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from nkeys import NkeysError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError

from sidecar.artifacts.jetstream import JetStreamArtifacts
from sidecar.authorities import trusted
from sidecar.bus.credentials import BusUsers
from sidecar.bus.nats import NatsBus, login_of_file
from sidecar.client.kubernetes import KubernetesApi
from sidecar.domain.errors import StoreUnavailable
from sidecar.logs import redactor
from sidecar.relay.activation_tokens import ActivationTokens, Claimed, TokenFile
from sidecar.relay.forge.github import GitHub
from sidecar.relay.kubernetes.namespaces import WorkloadsOfNamespaces
from sidecar.relay.kubernetes.token_review import TokenReviews
from sidecar.relay.kubernetes.workloads import KubernetesWorkloads
from sidecar.relay.prefect_rest import PrefectRest
from sidecar.relay.registry.tokens import RegistryTokens
from sidecar.relay.services import Services
from sidecar.relay.tokens import Tokens
from sidecar.relay.workloads import NoWorkloads, Workloads
from sidecar.settings import RelaySettings
from sidecar.store.migrations import migrate
from sidecar.store.postgres import PostgresStore

Key = TypeVar("Key")

MIGRATION_TIMEOUT_SECONDS = 120
"""Another relay may be migrating: one waits for the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    settings: RelaySettings
    tokens: Tokens
    bus_users: BusUsers
    registry_tokens: RegistryTokens | None

    @classmethod
    def of(cls, settings: RelaySettings) -> Self:
        """Reads every key, so that a missing one is met at the start and not in the middle of a claim.

        Raises OSError for a file that is not there, ValueError for one that is no key, both with its name.
        """
        for path in _secret_files(settings):
            for secret in _text(path).split():
                redactor.learn(secret)
        login_of_file(settings.bus_url, settings.bus_creds_file)
        return cls(
            settings=settings,
            tokens=_key(settings.session_key_file, lambda path: Tokens(path.read_bytes())),
            bus_users=_key(settings.bus_account_seed_file, lambda path: BusUsers(_text(path))),
            registry_tokens=_registry_tokens(settings),
        )

    @asynccontextmanager
    async def services(self) -> AsyncGenerator[Services]:
        """Connections close in the reverse order; by then no loop and no request uses them."""
        settings = self.settings
        store = PostgresStore(_database(settings))
        bus = NatsBus(
            lambda: login_of_file(settings.bus_url, settings.bus_creds_file),
            replicas=settings.bus_replicas,
        )
        prefect = PrefectRest(settings.prefect_api_url, settings.prefect_auth_file)
        forge = GitHub(
            api_url=settings.forge_api_url,
            git_url=settings.forge_git_url,
            app_id=settings.forge_app_id,
            private_key=_text(settings.forge_key_file),
            verify=trusted(settings.authorities_file),
        )
        kubernetes = _kubernetes(settings)
        try:
            yield Services(
                settings=settings,
                store=store,
                bus=bus,
                artifacts=JetStreamArtifacts(
                    bus.jetstream,
                    max_bytes=settings.artifacts_max_bytes,
                    replicas=settings.bus_replicas,
                ),
                bus_users=self.bus_users,
                prefect=prefect,
                forge=forge,
                tokens=self.tokens,
                activation_tokens=_activation_tokens(settings, kubernetes),
                registry_tokens=self.registry_tokens,
                workloads=_workloads(settings, kubernetes),
            )
        finally:
            if kubernetes is not None:
                await kubernetes.aclose()
            await forge.aclose()
            await prefect.aclose()
            await bus.aclose()
            await store.aclose()

    async def prepare(self) -> None:
        """Brings the ledger's tables up to date. Raises StoreUnavailable while it does not answer."""
        try:
            async with asyncio.timeout(MIGRATION_TIMEOUT_SECONDS):
                await migrate(_database(self.settings))
        except (DBAPIError, OSError, TimeoutError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[:1]
            raise StoreUnavailable(f"the ledger does not answer: {''.join(reason)}") from error


def _database(settings: RelaySettings) -> URL:
    url, password = make_url(settings.database_url), settings.database_password_file
    return url.set(password=_text(password).strip()) if password else url


def _secret_files(settings: RelaySettings) -> tuple[Path, ...]:
    optional = (settings.activation_token_file, settings.database_password_file)
    return (
        settings.bus_account_seed_file,
        settings.prefect_auth_file,
        settings.operator_token_file,
        *(path for path in optional if path is not None),
    )


def _kubernetes(settings: RelaySettings) -> KubernetesApi | None:
    """None on one machine."""
    if settings.claim_by == "file":
        return None
    return KubernetesApi(settings.kubernetes_url, settings.kubernetes_dir)


def _workloads(settings: RelaySettings, kubernetes: KubernetesApi | None) -> Workloads:
    if kubernetes is None:
        return NoWorkloads()
    return WorkloadsOfNamespaces(
        KubernetesWorkloads(kubernetes, settings.session_namespace),
        KubernetesWorkloads(kubernetes, settings.operations_namespace),
    )


def _activation_tokens(
    settings: RelaySettings, kubernetes: KubernetesApi | None
) -> ActivationTokens:
    if kubernetes is not None:
        accounts: dict[str, Claimed] = {
            settings.session_account: "session",
            settings.preview_account: "operation",
        }
        return TokenReviews(kubernetes, accounts)
    assert settings.activation_token_file is not None
    return TokenFile(settings.activation_token_file)


def _registry_tokens(settings: RelaySettings) -> RegistryTokens | None:
    key, certificate = settings.registry_key_file, settings.registry_cert_file
    if key is None or certificate is None:
        return None
    trusted = certificate.read_bytes()
    return _key(key, lambda path: RegistryTokens(path.read_bytes(), trusted))


def _key(path: Path, read: Callable[[Path], Key]) -> Key:
    try:
        return read(path)
    except (ValueError, TypeError, NkeysError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} holds no key of the kind that is needed: {reason}") from error


def _text(path: Path) -> str:
    """Raises ValueError that names the file when it is empty."""
    text = path.read_text().strip()
    if not text:
        raise ValueError(f"{path} is empty")
    return text
