"""Object storage for archives of root file systems: one port, and a service behind each door."""
