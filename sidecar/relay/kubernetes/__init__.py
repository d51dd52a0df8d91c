"""What the relay asks of Kubernetes, over its REST API: whose token this is, and why a pod does not start.

Nothing here decides about sessions. On one machine none of it is used.
"""
