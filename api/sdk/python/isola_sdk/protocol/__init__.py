"""Everything that needs no network: what is asked, what answers mean, when to ask again.

No module here does I/O, reads a clock or draws a random number: these are arguments. What does is
in `aio`, and in `sync`, which is made from it.
"""
