"""What the two proxies on a pod's way out share: a request's head, bytes both ways, connections one by one.

It decides nothing: not who may pass, and not where to.
"""
