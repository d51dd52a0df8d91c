"""Registers agents and the product's own flows with Prefect. Agents are YAML files under agents/."""
