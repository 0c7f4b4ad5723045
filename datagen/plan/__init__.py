"""Every name resolved, every variable known, everything priced; nothing paid."""
