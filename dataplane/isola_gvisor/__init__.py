"""The installer: puts gVisor into a node's containerd, or leaves the node as it was."""
