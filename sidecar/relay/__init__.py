"""The control plane: grants, ledger, forge keys, activations, wakes, pages."""
