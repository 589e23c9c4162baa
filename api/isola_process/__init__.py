"""What every process of ours does: writes logs, tells how it is, and ends when it is told to."""
