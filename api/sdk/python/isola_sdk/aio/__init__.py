"""The asynchronous client; `hack/sdk_sync.py` makes `sync` from it, but for its `runtime`."""
