"""The views: each takes a checked request and says what to do, in a few lines."""
