"""The kernel: what a log is, what it amounts to, and what follows. Pure, standard library only."""
