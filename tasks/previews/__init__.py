"""What a preview's flow does, step by step: claim, build, start, prove, check, report, release.

It knows the relay's operations and the preview target's API; not sessions, not agents.
"""
