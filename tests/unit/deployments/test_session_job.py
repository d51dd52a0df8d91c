"""The Job of a session's activation, as prefect-kubernetes itself renders it from our template."""

import json
import re
from functools import cache
from uuid import UUID, uuid4

import kubernetes_validate
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import get_current_settings
from prefect.settings.context import temporary_settings
from prefect.settings.legacy import _get_settings_fields
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from deployments.templates import (
    PREVIEWS,
    SESSIONS,
    PoolSettings,
    kubernetes_template,
    setting_names,
)
from sidecar.bridge import trust
from tasks.builders.image_source import BUILD_SECONDS, BuildPlace

CANARY = "user:canary-of-a-password"
NOBODY = "http://127.0.0.1:9/api"
VERSIONS = ["1.29", "1.32", "1.36"]


@cache
def nobody():
    """Prefect's client: blocks and variables are asked for only where they are named. It reads a CA bundle: once."""
    return PrefectClient(NOBODY)


async def job_of(pool=SESSIONS, settings=None, **job_variables):
    configuration = await KubernetesWorkerJobConfiguration.from_template_and_values(
        kubernetes_template(pool, settings or PoolSettings()),
        job_variables,
        client=nobody(),
    )
    configuration.prepare_for_flow_run(
        FlowRun(id=UUID(int=7), name="worker-1", flow_id=uuid4()), worker_name="a-worker"
    )
    return configuration.job_manifest


async def pod_of(**job_variables):
    return (await job_of(**job_variables))["spec"]["template"]["spec"]


def container(pod, name):
    return next(
        each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == name
    )


def environment(pod, name):
    return {each["name"]: each.get("value") for each in container(pod, name).get("env", [])}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("pool", [SESSIONS, PREVIEWS])
async def test_kubernetes_takes_the_job_strictly(pool, version):
    kubernetes_validate.validate(await job_of(pool), version, strict=True)


def test_builds_have_one_version_of_buildkit_and_not_the_latest():
    images = {
        PoolSettings().builder_image,
        kubernetes_template(PREVIEWS, PoolSettings())["variables"]["properties"]["buildkit_image"][
            "default"
        ],
        BuildPlace(agent_image="x1/agent").buildkit_image,
    }
    (image,) = images
    assert re.fullmatch(r"moby/buildkit:v\d+\.\d+\.\d+", image)
    assert PoolSettings(buildkit_is_rootless=True).builder_image == f"{image}-rootless"


@pytest.mark.parametrize("pool", [SESSIONS, PREVIEWS])
async def test_job_and_pod_are_found_as_ours_and_not_as_prefects(pool):
    job = await job_of(pool)
    for each in (job, job["spec"]["template"]):
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "x1flows"
        assert labels["app.kubernetes.io/managed-by"] == "prefect"
        assert "prefect.io/flow-run-id" in labels


async def test_a_previews_flow_has_time_for_two_builds_and_not_for_ever():
    seconds = (await job_of(PREVIEWS))["spec"]["activeDeadlineSeconds"]
    assert 2 * BUILD_SECONDS < seconds <= 4 * BUILD_SECONDS


async def test_kubernetes_takes_a_job_with_every_variable_strictly():
    job = await job_of(
        runtime_class_name="gvisor",
        node_selector={"disk": "ssd"},
        tolerations=[{"key": "agents", "operator": "Exists", "effect": "NoSchedule"}],
        image_pull_secrets=[{"name": "registry"}],
        agent_resources={"limits": {"memory": "8Gi", "ephemeral-storage": "30Gi"}},
        agent_storage_limit="20Gi",
    )
    kubernetes_validate.validate(job, "1.36", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["runtimeClassName"] == "gvisor"
    assert container(pod, "agent")["resources"]["limits"]["memory"] == "8Gi"
    assert {"name": "agent", "emptyDir": {"sizeLimit": "20Gi"}} in pod["volumes"]


async def test_the_canary_is_the_api_server_at_the_port_that_this_cluster_has():
    canary = environment(await pod_of(), "sidecar")["X1_CANARY_ADDRESS"]
    assert canary == "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"


async def test_where_an_installations_sessions_run_is_said_by_its_settings(monkeypatch):
    monkeypatch.setenv("X1_SESSION_RUNTIME_CLASS", "gvisor")
    monkeypatch.setenv("X1_SESSION_NODE_SELECTOR", '{"pool": "agents"}')
    monkeypatch.setenv("X1_SESSION_TOLERATIONS", '[{"key": "agents", "operator": "Exists"}]')
    monkeypatch.setenv("X1_IMAGE_PULL_SECRET", "x1-pull")
    job = await job_of()
    kubernetes_validate.validate(job, "1.36", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["nodeSelector"] == {"pool": "agents"}
    assert pod["tolerations"] == [{"key": "agents", "operator": "Exists"}]
    operations = (await job_of(PREVIEWS))["spec"]["template"]["spec"]
    assert "runtimeClassName" not in operations
    for each in (pod, operations):
        assert each["imagePullSecrets"] == [{"name": "x1-pull"}]


async def test_session_pods_ask_the_installations_own_dns_and_nobody_else():
    job = await job_of(settings=PoolSettings(session_dns="10.96.7.7"))
    kubernetes_validate.validate(job, "1.36", strict=True)
    pod = job["spec"]["template"]["spec"]
    assert pod["dnsPolicy"] == "None"
    assert pod["dnsConfig"] == {
        "nameservers": ["10.96.7.7"],
        "options": [{"name": "ndots", "value": "1"}],
    }


async def test_without_a_dns_of_its_own_an_installation_leaves_names_to_the_cluster():
    pod = await pod_of()
    assert pod["dnsPolicy"] == "ClusterFirst"
    assert "dnsConfig" not in pod


async def test_the_sidecar_alone_is_told_of_the_egress_proxy():
    pod = await pod_of()
    assert environment(pod, "sidecar")["X1_EGRESS_URL"] == "http://egress.x1-system.svc:3128"
    for name in ("agent", "prefect-job"):
        assert "X1_EGRESS_URL" not in environment(pod, name)


async def test_without_a_runtime_class_the_cluster_chooses():
    assert "runtimeClassName" not in await pod_of()


async def test_nothing_of_the_workers_prefect_settings_is_in_the_job(monkeypatch):
    """Every setting of this Prefect at once would not be valid; these are the ones that hold secrets, and more."""
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", CANARY)
    monkeypatch.setenv("PREFECT_API_KEY", CANARY)
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", CANARY)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql://{CANARY}@db/x")
    monkeypatch.setenv("PREFECT_SERVER_ENCRYPTION_KEY", CANARY)
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", json.dumps({"authorization": CANARY}))
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "1")
    monkeypatch.setenv("PREFECT_HOME", "/the/workers/home")
    monkeypatch.setenv("PREFECT_CANARY", CANARY)
    with temporary_settings():
        leaking = get_current_settings().to_environment_variables(exclude_unset=True)
        assert CANARY in leaking.values(), "a worker would hand the canary on"
        for pool in (SESSIONS, PREVIEWS):
            text = json.dumps(await job_of(pool))
            assert CANARY not in text
            assert "/the/workers/home" not in text
            assert "PREFECT_WORKER_QUERY_SECONDS" not in text


def test_every_setting_that_a_worker_may_hand_on_is_named():
    named = set(setting_names())
    handed_on = get_current_settings().to_environment_variables(exclude_unset=False)
    assert set(handed_on) <= named
    assert named <= set(_get_settings_fields(type(get_current_settings())))


async def test_the_flow_alone_reads_prefects_login_and_from_a_file():
    pod = await pod_of()
    assert (
        environment(pod, "prefect-job")["PREFECT_PROFILES_PATH"] == "/run/x1/prefect/profiles.toml"
    )
    (login,) = [each for each in pod["volumes"] if "secret" in each]
    assert login["secret"]["secretName"] == "x1-prefect-client"
    assert [each["path"] for each in login["secret"]["items"]] == ["profiles.toml"]
    holders = [
        (each["name"], mount["mountPath"])
        for each in (*pod["initContainers"], *pod["containers"])
        for mount in each["volumeMounts"]
        if mount["name"] == login["name"]
    ]
    assert holders == [("prefect-job", "/run/x1/prefect")]


@pytest.mark.parametrize("pool", [SESSIONS, PREVIEWS])
async def test_no_container_has_a_secret_in_its_environment(pool):
    pod = (await job_of(pool))["spec"]["template"]["spec"]
    every = [*pod.get("initContainers", ()), *pod["containers"]]
    assert "secretKeyRef" not in json.dumps([each.get("env", []) for each in every])
    assert "secretRef" not in json.dumps([each.get("envFrom", []) for each in every])


async def test_the_flow_starts_prefects_engine_in_one_step():
    flow = (await pod_of())["containers"][0]
    assert flow["name"] == "prefect-job"
    assert [*flow["command"], *flow["args"]] == ["python", "-m", "prefect.engine"]
    assert flow["workingDir"] == "/app"
    assert environment(await pod_of(), "prefect-job")["PREFECT__FLOW_RUN_ID"] == str(UUID(int=7))


async def test_sidecar_and_agent_are_native_sidecars_in_this_order():
    pod = await pod_of()
    assert [(each["name"], each["restartPolicy"]) for each in pod["initContainers"]] == [
        ("sidecar", "Always"),
        ("agent", "Always"),
    ]
    assert len(pod["containers"]) == 1


async def test_the_agent_has_its_own_volumes_and_variables_and_no_token():
    pod = await pod_of()
    mounts = {each["name"] for each in container(pod, "agent")["volumeMounts"]}
    assert mounts == {"bridge", "agent", "agent-tmp", "previews-ca", "trust"}
    assert environment(pod, "agent") == {
        "X1_BRIDGE_SOCKET": "/run/x1/bridge/bridge.sock",
        "X1_BRIDGE_PEER_UID": "10002",
        "X1_BRIDGE_MAX_PROCESSES": "8192",
        "X1_TRUSTED_CA_FILE": "/etc/x1/previews-ca/ca.crt",
        "X1_TRUST_BUNDLE": "/run/x1/trust/bundle.pem",
        **dict.fromkeys(trust.NAMES, "/run/x1/trust/bundle.pem"),
    }


async def test_the_previews_authority_is_no_condition_for_a_pod():
    """Where the previews' certificate is a public one, there is no such ConfigMap."""
    volumes = {each["name"]: each for each in (await pod_of())["volumes"]}
    assert volumes["previews-ca"]["configMap"] == {"name": "previews-ca", "optional": True}


async def test_only_the_flow_mounts_the_relays_token_and_only_flow_and_sidecar_control():
    pod = await pod_of()
    mounted = {
        name: [
            each["name"]
            for each in [*pod["initContainers"], *pod["containers"]]
            if name in {mount["name"] for mount in each["volumeMounts"]}
        ]
        for name in ("relay-token", "control", "journal")
    }
    assert mounted == {
        "relay-token": ["prefect-job"],
        "control": ["sidecar", "prefect-job"],
        "journal": ["sidecar"],
    }


@pytest.mark.parametrize(
    ("name", "uid"), [("prefect-job", 10001), ("sidecar", 10002), ("agent", 10003)]
)
async def test_each_container_is_restricted_and_a_user_of_its_own(name, uid):
    context = container(await pod_of(), name)["securityContext"]
    assert context == {
        "runAsUser": uid,
        "runAsGroup": uid,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


async def test_the_pod_shares_nothing_and_is_never_tried_twice():
    job = await job_of()
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "fsGroup": 10010,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for name in ("automountServiceAccountToken", "enableServiceLinks", "shareProcessNamespace"):
        assert pod[name] is False
    assert pod["priorityClassName"] == "x1-session"


async def test_every_container_has_ephemeral_storage_limits_and_no_probe():
    pod = await pod_of()
    for each in [*pod["initContainers"], *pod["containers"]]:
        assert "ephemeral-storage" in each["resources"]["limits"]
        assert not [key for key in each if key.endswith("Probe")]


async def test_images_and_namespace_are_the_installations():
    settings = PoolSettings(
        image_prefix="registry.example/x1-", image_tag="2", session_namespace="teams"
    )
    job = await job_of(settings=settings)
    pod = job["spec"]["template"]["spec"]
    assert job["metadata"]["namespace"] == "teams"
    assert [each["image"] for each in (*pod["containers"], *pod["initContainers"])] == [
        "registry.example/x1-flow:2",
        "registry.example/x1-sidecar:2",
        "registry.example/x1-agent:2",
    ]
