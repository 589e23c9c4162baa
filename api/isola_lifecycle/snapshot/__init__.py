"""The lifecycle of a root file system snapshot, as that of a sandbox: log, fold, decisions."""
