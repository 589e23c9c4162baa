"""The synchronous client: made from `aio` by `hack/sdk_sync.py`, but for its `runtime`."""
