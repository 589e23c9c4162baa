"""Request and response models of gateway and sidecar, and problem details."""
