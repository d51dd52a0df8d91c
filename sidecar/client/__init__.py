"""HTTP clients of the relay and of the pod's control API, typed by `sidecar.wire`."""
