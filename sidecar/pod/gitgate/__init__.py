"""The git gateway: real git on one side, the forge on the other, and a policy between them.

The agent presents a capability that is worthless elsewhere. The forge's token is asked of the relay, lives in
memory, and is narrowed to one repository. No git binary, no working tree: bytes only.
"""
