"""The Job of a preview's flow, as prefect-kubernetes itself renders it: the route that an installation chose is in it."""

from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from deployments.templates import PREVIEWS, PoolSettings, kubernetes_template
from infra.cluster.certificates import make_authority
from tasks.previews.kubernetes.ingresses import Ingresses
from tasks.previews.settings import PreviewSettings
from tasks.previews.targets.choice import chosen, swept

NOBODY = "http://127.0.0.1:9/api"
WORDS = '{"acme.dev/door": "tls \\"only\\"", "acme.dev/shard": "{two}"}'


async def pod_of():
    """Of settings as the installer's Job reads them, from its environment."""
    configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(
        kubernetes_template(PREVIEWS, PoolSettings()), {}, client=PrefectClient(NOBODY)
    )
    configuration.prepare_for_flow_run(
        FlowRun(id=UUID(int=7), name="preview-1", flow_id=uuid4()), worker_name="a-worker"
    )
    return configuration.job_manifest["spec"]["template"]["spec"]


@pytest.fixture
def flow_settings(monkeypatch, tmp_path):
    """What a flow reads in that pod, but for the addresses that are none on this machine."""

    def reading(pod):
        (container,) = pod["containers"]
        for each in container["env"]:
            if each["name"].startswith("X1_") and "value" in each:
                monkeypatch.setenv(each["name"], each["value"])
        (tmp_path / "ca.crt").write_text(make_authority().certificate)
        monkeypatch.setenv("X1_KUBERNETES_DIR", str(tmp_path))
        return PreviewSettings()

    return reading


async def test_ingresses_their_class_and_their_controllers_words_reach_the_flow(
    monkeypatch, flow_settings
):
    monkeypatch.setenv("X1_PREVIEW_ROUTE", "ingress")
    monkeypatch.setenv("X1_INGRESS_CLASS", "nginx")
    monkeypatch.setenv("X1_INGRESS_ANNOTATIONS", WORDS)
    pod = await pod_of()
    settings = flow_settings(pod)
    assert settings.ingress_annotations == {
        "acme.dev/door": 'tls "only"',
        "acme.dev/shard": "{two}",
    }
    async with chosen(settings) as target:
        wanted = Ingresses(class_name="nginx", annotations=settings.ingress_annotations)
        assert target._routes == wanted
        mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
        assert str(target.way.stamps.keys_file) == f"{mounts['stamps']}/keys"
    async with swept(settings) as looked_at:
        assert [each.route_kind for each in looked_at.previews] == ["Ingress"]


async def test_without_a_word_previews_are_behind_the_gateway(flow_settings):
    settings = flow_settings(await pod_of())
    async with chosen(settings) as target:
        assert target._routes.kind == "HTTPRoute"
        assert target.way.stamps is None
    async with swept(settings) as looked_at:
        assert [(each.route_kind, each.name) for each in looked_at.previews] == [
            ("HTTPRoute", "x1-previews-default")
        ]


async def test_the_workspaces_of_an_installation_reach_the_flow_and_the_sweep(
    monkeypatch, flow_settings
):
    monkeypatch.setenv("X1_WORKSPACES", '["default", "team-b"]')
    settings = flow_settings(await pod_of())
    async with chosen(settings) as target:
        names = {workspace: each.name for workspace, each in target._namespaces.items()}
        assert names == {"default": "x1-previews-default", "team-b": "x1-previews-team-b"}
    async with swept(settings) as looked_at:
        assert [each.name for each in looked_at.previews] == [*names.values()]
