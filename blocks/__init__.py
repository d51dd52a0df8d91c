"""Typed configuration as Prefect Blocks: forms for people.

The relay's table is the truth. Blocks hold no secret: whoever has Prefect's password can read them all.
"""
