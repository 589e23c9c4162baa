"""Takes a container's root file system on its node, and brings it to the bucket."""
