"""The sandbox sidecar: commands and files of one sandbox pod, over HTTP."""
