"""The REST API: reads by folding logs, writes by appending intents, commands by their sidecar."""
