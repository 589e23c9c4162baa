"""The lifecycle of a sandbox: its conditions, their fold, what is observed, what is decided."""
