"""The log's one door to Kubernetes: append with expected version, read, watch."""
