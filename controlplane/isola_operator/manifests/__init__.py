"""Pure builders of what the operator creates."""
