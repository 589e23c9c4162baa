"""Puts the archives of snapshots onto the nodes of the sandboxes that start from them."""
