"""The Job and the Secret of one build, as objects of Kubernetes.

Three containers, each with as little as it needs. `fetch` alone sees the git token. `build` (buildctl,
unprivileged) alone sees the registry login: BuildKit's daemon asks its client to log in. `buildkitd` runs the
repository's own steps and has neither; their files are those of the image, not of any container here.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from sidecar.wire.preview_spec import PreviewSpec
from tasks.builders import buildkit_scripts as scripts
from tasks.builders.image_source import BuildPlace, ImageSource

USER: Final = 1000
"""Of `fetch` and `build`; rootless BuildKit's own, and the group of its socket."""
SOCKET: Final = "/run/buildkit/buildkitd.sock"
GIT_CONFIG: Final = "gitconfig"
LOGIN: Final = "config.json"
AUTHORITIES: Final = "authorities"
GOS_AUTHORITIES: Final = "/etc/pki/tls/certs"
"""Go reads this directory on every Linux, beside the image's own file: https://go.dev/src/crypto/x509/root_linux.go"""
KEPT_SECONDS: Final = 600
"""An ended Job waits so long for the run that has to read its outcome, should the first one have been killed."""
PRIORITY: Final = "x1-preview"
OPERATION: Final = "x1flows.io/operation"
PART_OF: Final = {"app.kubernetes.io/part-of": "x1flows", "app.kubernetes.io/name": "build"}

Object = dict[str, Any]


def job(name: str, tag: str, place: BuildPlace, source: ImageSource, spec: PreviewSpec) -> Object:
    """Suspended: its pod comes when the Secret is there, which belongs to the Job and goes with it."""
    facts = {
        OPERATION: source.operation_id,
        "x1flows.io/repo": source.repo,
        "x1flows.io/revision": source.revision,
    }
    pod = _pod(name, place)
    pod["initContainers"] = [_buildkitd(place), _fetch(place, source, spec)]
    pod["containers"] = [_build(tag, place, source, spec)]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": PART_OF,
            "annotations": facts,
        },
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "activeDeadlineSeconds": place.seconds,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": PART_OF, "annotations": facts}, "spec": pod},
        },
    }


def secret(name: str, uid: str, place: BuildPlace, source: ImageSource) -> Object:
    """Both tokens; each is mounted into the one container that needs it. `uid` is the Job's."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    content = {GIT_CONFIG: _git_config(source), LOGIN: _login(source)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": place.namespace,
            "labels": PART_OF,
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in content.items()},
    }


def _pod(name: str, place: BuildPlace) -> Object:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": place.service_account,
        "priorityClassName": PRIORITY,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "imagePullSecrets": [{"name": each} for each in place.image_pull_secrets],
        "securityContext": {"fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": "2Gi"}},
            {"name": "state", "emptyDir": {"sizeLimit": place.disk}},
            {"name": "run", "emptyDir": {"sizeLimit": "16Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            _one_of("git", name, GIT_CONFIG),
            _one_of("login", name, LOGIN),
            {"name": "settings", "configMap": {"name": place.config_map}},
            {"name": AUTHORITIES, "configMap": {"name": place.authorities, "optional": True}},
        ],
    }


def _one_of(volume: str, name: str, key: str) -> Object:
    items = [{"key": key, "path": key}]
    return {"name": volume, "secret": {"secretName": name, "defaultMode": 0o440, "items": items}}


def _fetch(place: BuildPlace, source: ImageSource, spec: PreviewSpec) -> Object:
    dockerfile = PurePosixPath(spec.dockerfile)
    environment = {
        "HOME": "/tmp",  # noqa: S108 - a volume of the pod's own
        "GIT_URL": f"{source.git_url.rstrip('/')}/{source.repo}",
        "REVISION": source.revision,
        "CONTEXT": spec.context,
        "FOLDER": str(dockerfile.parent),
        "DOCKERFILE": dockerfile.name,
        "GIT_CONFIG_GLOBAL": f"/run/secrets/git/{GIT_CONFIG}",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return {
        "name": "fetch",
        "image": place.agent_image,
        "command": ["sh", "-c", _literal(scripts.FETCH)],
        "env": _environment(environment),
        "resources": _resources(("50m", "1"), ("64Mi", "512Mi"), ("128Mi", "3Gi")),
        "securityContext": _restricted(),
        "volumeMounts": [
            {"name": "work", "mountPath": "/work"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - as above
            {"name": "git", "mountPath": "/run/secrets/git", "readOnly": True},
            {"name": AUTHORITIES, "mountPath": scripts.AUTHORITIES, "readOnly": True},
        ],
    }


def _buildkitd(place: BuildPlace) -> Object:
    """A native sidecar: up before `build`, ended after it."""
    state = "/home/user/.local/share/buildkit" if place.is_rootless else "/var/lib/buildkit"
    return {
        "name": "buildkitd",
        "image": place.buildkit_image,
        "restartPolicy": "Always",
        "args": [
            *("--addr", f"unix://{SOCKET}", "--config", "/etc/x1/buildkitd.toml"),
            *(["--oci-worker-no-process-sandbox"] if place.is_rootless else ["--group", str(USER)]),
        ],
        "resources": _resources(place.cpu, place.memory, ("1Gi", place.disk)),
        "securityContext": _rootless() if place.is_rootless else _privileged(),
        "volumeMounts": [
            {"name": "state", "mountPath": state},
            {"name": "run", "mountPath": str(PurePosixPath(SOCKET).parent)},
            {"name": "settings", "mountPath": "/etc/x1", "readOnly": True},
            {"name": AUTHORITIES, "mountPath": GOS_AUTHORITIES, "readOnly": True},
        ],
    }


def _build(tag: str, place: BuildPlace, source: ImageSource, spec: PreviewSpec) -> Object:
    environment = {
        "HOME": "/tmp",  # noqa: S108 - as above
        "BUILDKIT_HOST": f"unix://{SOCKET}",
        "DOCKER_CONFIG": "/run/secrets/registry",
    }
    words = [_literal(word) for word in _words(tag, source, spec)]
    return {
        "name": "build",
        "image": place.buildkit_image,
        "command": ["sh", "-c", _literal(scripts.BUILD), "build"],
        "args": words,
        "env": _environment(environment),
        "resources": _resources(("50m", "1"), ("64Mi", "512Mi"), ("64Mi", "256Mi")),
        "securityContext": _restricted(),
        "volumeMounts": [
            {"name": "work", "mountPath": "/work", "readOnly": True},
            {"name": "run", "mountPath": str(PurePosixPath(SOCKET).parent)},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - as above
            {"name": "login", "mountPath": "/run/secrets/registry", "readOnly": True},
            {"name": AUTHORITIES, "mountPath": GOS_AUTHORITIES, "readOnly": True},
        ],
    }


def _words(tag: str, source: ImageSource, spec: PreviewSpec) -> Sequence[str]:
    """buildctl's: https://github.com/moby/buildkit/blob/master/docs/reference/buildctl.md"""
    tree, dockerfile = PurePosixPath(scripts.TREE), PurePosixPath(spec.dockerfile)
    cache = f"type=registry,ref={source.image}:buildcache"
    options = {
        "filename": dockerfile.name,
        "label:org.opencontainers.image.revision": source.revision,
        **{f"build-arg:{name}": value for name, value in spec.args.items()},
    }
    return [
        *("--frontend", "dockerfile.v0"),
        *("--local", f"context={tree / spec.context}"),
        *("--local", f"dockerfile={tree / dockerfile.parent}"),
        *(word for name, value in options.items() for word in ("--opt", f"{name}={value}")),
        *("--output", f"type=image,name={source.image}:{tag},push=true"),
        *("--import-cache", cache),
        *("--export-cache", f"{cache},mode=max,ignore-error=true"),
    ]


def _literal(word: str) -> str:
    """Kubernetes would put variables in the place of `$(NAME)`."""
    return word.replace("$", "$$")


def _git_config(source: ImageSource) -> str:
    pair = f"x-access-token:{source.git_token.get_secret_value()}".encode()
    header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
    return f'[http "{source.git_url.rstrip("/")}/"]\n\textraHeader = "{header}"\n'


def _login(source: ImageSource) -> str:
    pair = base64.b64encode(f"x1:{source.push_token.get_secret_value()}".encode()).decode()
    return json.dumps({"auths": {source.registry: {"auth": pair}}})


def _environment(values: Mapping[str, str]) -> list[Object]:
    return [{"name": name, "value": _literal(value)} for name, value in values.items()]


def _resources(cpu: tuple[str, str], memory: tuple[str, str], disk: tuple[str, str]) -> Object:
    request, limit = zip(cpu, memory, disk, strict=True)
    names = ("cpu", "memory", "ephemeral-storage")
    return {
        "requests": dict(zip(names, request, strict=True)),
        "limits": dict(zip(names, limit, strict=True)),
    }


def _restricted() -> Object:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _privileged() -> Object:
    """BuildKit mounts and makes namespaces for each step."""
    return {"privileged": True, "runAsUser": 0, "runAsGroup": 0}


def _rootless() -> Object:
    """In a user namespace, which the default seccomp and AppArmor profiles forbid. From Kubernetes 1.30."""
    return {
        "runAsUser": USER,
        "runAsGroup": USER,
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
    }
