"""The registry's token service: who may push or pull which images of previews.

Builds and pulls log in with a short token that the relay minted for them; the registry trusts what is signed here.
It knows names of images; not builds, not clusters.
"""
