"""Exports each life in the log as a trace, log records and metrics, by OpenTelemetry."""
