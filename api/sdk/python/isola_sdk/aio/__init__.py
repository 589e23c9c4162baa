"""The asynchronous client. `sync` is made from this by `hack/sdk_sync.py`, but for its `runtime`."""
