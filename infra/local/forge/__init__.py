"""The embedded forge: GitHub's API and smart HTTP, as far as x1flows uses them, over bare repositories.

It stands where api.github.com would, for one machine and for tests; the relay's client cannot tell them apart.
Working trees are never made: what agents pushed is data here.
"""
