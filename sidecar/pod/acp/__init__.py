"""The Agent Client Protocol v1, spoken leniently on plain dictionaries. Knows nothing of wakes or the relay."""
