"""Left of the ledger: everything that costs money, and the record of it."""
