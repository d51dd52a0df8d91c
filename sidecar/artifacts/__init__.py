"""Big things by the digest of their content. Whose they are, and for how long, is in the ledger, not here."""
