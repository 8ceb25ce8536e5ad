"""A run: its cases, journal and ledger, its plan and progress, and how what it made is removed."""
