"""The services: the pod service beside one agent, and the relay that holds what must not be in a pod.

Never imports Prefect. `python -m sidecar pod | relay` starts either.
"""
