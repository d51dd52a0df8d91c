"""How it happens: retryable verbs over plain async functions."""
