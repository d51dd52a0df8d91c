"""`x1 cluster …`. Each command does its own imports when it runs, so that help is quick."""
