"""The bus carries events and rings doorbells. It is transport, never the truth."""
