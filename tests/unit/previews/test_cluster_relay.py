"""The relay of a cluster: which kinds and secrets it lets a preview have, and what its flow run is given."""

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization

from infra.cluster import registry_keys
from sidecar.domain.errors import Forbidden, SpecInvalid
from sidecar.relay.previews import reading, validating, verifying
from sidecar.relay.registry.tokens import RegistryTokens
from sidecar.wire.model import reveal
from sidecar.wire.previews import OperationBundle, ValidateRequest, VerifyRequest

SPEC = """apiVersion: x1agent.io/v1
kind: PreviewSpec
metadata: {name: app}
spec:
  entrypoint: {kind: KIND, path: PATH}
  runtime: {port: 8000}
  env: [{name: KEY, from: 'secret:STRIPE'}]
"""
WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx}]}
"""
SERVICE = b"""apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8000}]}
"""


@pytest.fixture
def settings(settings, tmp_path):
    (tmp_path / "STRIPE").write_text("canary-of-stripe\n")
    return settings.model_copy(
        update={
            "preview_target": "kubernetes",
            "preview_url_template": "https://{label}.previews.test",
            "preview_secrets": ("acme/app:STRIPE",),
            "registry_host": "registry:5000",
        }
    )


@pytest.fixture
def desk(desk):
    made = registry_keys.make({})
    key, certificate = made[registry_keys.KEY], made[registry_keys.CERTIFICATE]
    assert serialization.load_pem_private_key(key.encode(), None)
    tokens = RegistryTokens(key.encode(), certificate.encode(), desk.clock)
    desk.services = replace(desk.services, registry_tokens=tokens)
    return desk


def push(desk, files):
    return desk.forge.commit("acme/app", "feat/one", files)


def manifests(desk, **more):
    spec = SPEC.replace("KIND", "manifest").replace("PATH", "k8s").encode()
    files = {".x1agent/preview.yaml": spec, "k8s/web.yaml": WEB, "k8s/service.yml": SERVICE}
    return push(desk, {**files, "k8s/notes.md": b"no yaml", **more})


async def findings(desk, boss, revision):
    request = ValidateRequest(repo="acme/app", revision=revision)
    answer = await validating.validate(desk.services, boss, request)
    return [(each["path"], each["message"]) for each in answer.errors]


async def test_manifests_and_a_declared_secret_are_fit_to_be_previewed(desk, boss):
    assert await findings(desk, boss, manifests(desk)) == []


async def test_findings_in_manifests_are_told_by_validation_before_anything_is_built(desk, boss):
    bad = WEB.replace(b"spec: {containers", b"spec: {hostNetwork: true, containers")
    (found,) = await findings(desk, boss, manifests(desk, **{"k8s/web.yaml": bad}))
    assert found[0] == "k8s/web.yaml: spec.template.spec.hostNetwork"


async def test_a_secret_that_no_operator_declared_for_the_repository_is_refused(desk, boss):
    desk.services.settings.preview_secrets = ("acme/other:STRIPE",)
    (found,) = await findings(desk, boss, manifests(desk))
    assert "no operator has declared it" in found[1]


async def test_a_path_without_manifests_is_told(desk, boss):
    spec = SPEC.replace("KIND", "manifest").replace("PATH", "nowhere").encode()
    (found,) = await findings(desk, boss, push(desk, {".x1agent/preview.yaml": spec}))
    assert "nowhere is not in the repository" in found[1]


async def test_processes_are_not_run_and_too_much_is_refused_on_a_cluster(desk, boss):
    spec = SPEC.replace("kind: KIND, path: PATH", "kind: process, run: [make]")
    spec += "  resources: {limits: {memory: 64Gi}}\n"
    found = await findings(desk, boss, push(desk, {".x1agent/preview.yaml": spec.encode()}))
    assert ["process cannot be built here" in found[0][1], "more than a preview's" in found[1][1]]
    assert len(found) == 2


async def test_a_session_whose_workspace_was_left_out_since_is_told_before_anything_is_asked(
    desk, boss
):
    revision = manifests(desk)
    desk.services.settings.workspaces = ("team-b",)
    with pytest.raises(Forbidden, match="workspace default is not among the installation's"):
        await findings(desk, boss, revision)
    with pytest.raises(Forbidden, match="x1 cluster upgrade"):
        await desk.deploy(boss, revision)
    assert await desk.newest() is None
    desk.services.settings.workspaces = ("default", "team-b")
    assert await findings(desk, boss, revision) == []


async def test_without_a_registry_nothing_is_built(desk, boss):
    desk.services.settings.registry_host = ""
    spec = SPEC.replace("KIND", "dockerfile").replace("PATH", "Dockerfile").encode()
    (found,) = await findings(desk, boss, push(desk, {".x1agent/preview.yaml": spec}))
    assert "this target does manifest" in found[1]


async def test_a_deploys_run_is_given_texts_secrets_and_the_registrys_logins(desk, boss):
    revision = manifests(desk)
    await desk.deploy(boss, revision)
    bundle = OperationBundle.model_validate_json(reveal(await desk.claim()))
    assert set(bundle.manifests) == {"k8s/web.yaml", "k8s/service.yml"}
    assert bundle.secrets["STRIPE"].get_secret_value() == "canary-of-stripe"
    assert bundle.registry == "registry:5000"
    assert bundle.push_token.get_secret_value() != bundle.pull_token.get_secret_value() != ""


async def test_a_bundle_shows_no_secret_but_to_its_run(desk, boss):
    await desk.deploy(boss, manifests(desk))
    bundle = await desk.claim()
    assert "canary-of-stripe" not in bundle.model_dump_json()
    assert "canary-of-stripe" not in repr(bundle)


async def test_an_invalid_spec_is_an_error_with_its_findings_at_deploy(desk, boss):
    with pytest.raises(SpecInvalid):
        await desk.deploy(boss, manifests(desk, **{"k8s/web.yaml": b"kind: Pod"}))


async def test_a_declared_secret_is_in_no_log_whichever_run_reads_it(desk, boss):
    """A verifying run is given no secrets; the app's log, which it reads, may show them."""
    revision = manifests(desk)
    preview_id = (await desk.ready(boss, revision)).preview_id
    asking = VerifyRequest(checks=[{"path": "/"}])
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(verifying.verify(desk.services, boss, preview_id, asking, None))
        while (operation := await desk.newest()) is None or operation.flow_run_id is None:
            await asyncio.sleep(0)
        bundle = await desk.claim()
        said = ["KEY=canary-of-stripe"]
        await desk.report(bundle, "running", log=said, log_source="app")
        await desk.report(bundle, "succeeded", result={"results": []})
    assert not waiting.result().passed
    lines = await reading.logs(desk.services, boss, preview_id, "app", 10)
    assert lines.lines == ["KEY=***"]
