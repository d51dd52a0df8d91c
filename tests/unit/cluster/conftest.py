"""Manifests as kubectl renders them: the wheel's beside this Python, so that none needs to be on PATH."""

import functools
import sys
from pathlib import Path

import pytest

from infra.cluster.kubectl import Kubectl
from infra.cluster.rendering import Wish, render


@functools.cache
def rendered(overlay, values=()):
    wish = Wish(overlay=overlay, prefix="registry.example/x1/", tag="2", values=dict(values))
    return tuple(render(Kubectl(), wish))


@pytest.fixture
def kubectl_on_path(monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


@pytest.fixture
def render_overlay(kubectl_on_path):

    def rendering(overlay, **values):
        return rendered(overlay, tuple((name.replace("_", "-"), values[name]) for name in values))

    return rendering
