"""The kubectl plugin: reads logs, from the cluster or from files, explains and verifies them."""

# As in pyproject.toml; to ask the installation takes longer than all the rest.
VERSION = "0.1.0"
