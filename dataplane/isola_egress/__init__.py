"""The way out by name: a resolver and a gateway that let sandboxes reach what their list names."""
