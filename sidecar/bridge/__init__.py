"""The bridge: PID 1 of an agent's container, which does there what the sidecar asks and nothing else.

It knows no secret, no relay and no policy: whatever it has, the agent has. The standard library, the domain
and the wire's frames are all it imports, so that it listens at once.
"""
