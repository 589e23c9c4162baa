"""Every limit of the sidecar, each with its reason.

The time-outs form a chain with the gateway's: a client polls for 20 s, the gateway allows 25 s,
the sidecar 30 s. Whoever is further out gives up first, so nobody waits on a dead link.
"""

from typing import Final

HANDSHAKE_SECONDS: Final = 10.0
"""From a connection to the end of its TLS handshake; as for headers."""

HEADER_SECONDS: Final = 10.0
"""From a request's first byte to the end of its headers; ends slow-header attacks."""

IDLE_SECONDS: Final = 120.0
"""A kept-alive connection without a request; well above the gateway's pool time-out."""

JSON_BODY_BYTES: Final = 1 << 20
"""A JSON body must be smaller; it is held in memory whole, twice while it is parsed."""

JSON_BODY_SECONDS: Final = 5.0
"""A whole JSON body has to arrive within this time."""

CHUNK_SECONDS: Final = 10.0
"""The longest pause between two pieces of a raw body; an active upload may run for ever."""

SEND_SECONDS: Final = 30.0
"""The longest a client may refuse to take what was sent; it can resume an output stream."""

LINGER_SECONDS: Final = 2.0
"""How long an unread body is thrown away so that the answer before it is not lost to a reset."""

WAIT_SECONDS: Final = 30
"""The longest `waitSeconds`."""

KEEPALIVE_SECONDS: Final = 15.0
"""Silence after which an output stream says that it is alive; below usual proxy time-outs."""

STDIN_STALL_SECONDS: Final = 20.0
"""How long a write waits on a program that takes nothing. Below the published client's read
time-out of 30 s: past that the client would send the same bytes again."""

BLOCK_BYTES: Final = 1 << 16
"""One read of output or of a file: large enough for speed, small enough that no one waits."""

RECEIVE_BYTES: Final = 1 << 18
"""One read from a socket, and the bound of what a connection buffers."""

PIPE_BYTES: Final = 1 << 20
"""Capacity asked for output pipes: what a program writes during one rest must find room."""

BURST_BYTES: Final = 1 << 17
"""Output after which the sidecar rests for a moment, to take the next pieces together: programs
write 4 or 8 KiB at a time, and each piece would cost every reader a turn."""

REST_SECONDS: Final = 0.002
"""That moment. Only a program that writes much ever meets it."""

CONNECTIONS: Final = 1024
"""At once. The gateway keeps far fewer; sandboxed code on localhost could open any number."""

RUNNING_COMMANDS: Final = 512
"""At once. Each costs three pipes; sandboxed code could otherwise exhaust the descriptors."""

STREAMS: Final = 256
"""Output streams, terminals and watches at once: far above what people look at, and together with
the commands far below what descriptors and connections allow."""

PING_SECONDS: Final = 20.0
"""Between two pings to a terminal's viewer; below usual proxy time-outs."""

VIEWER_SECONDS: Final = 60.0
"""A viewer that sends nothing for that long, no answer to a ping either, is gone."""

TERMINAL_LINES: Final = 1000
"""Rows or columns of a terminal at most; programs allocate for their product."""

CONTROL_BYTES: Final = 256
"""Of a text frame from a viewer, which says a size."""

KEPT_OUTPUTS: Final = 512
"""Finished commands whose output is kept. Two open files each, far below the descriptor limit."""

KEPT_OUTPUT_BYTES: Final = 256 << 20
"""Output of finished commands in all; it counts against the container's ephemeral storage."""

KEPT_SECONDS: Final = 60.0
"""Output of a command that finished more recently is not given up: its reader is on the way."""

KEPT_OUTPUTS_AT_MOST: Final = 4096
"""Whatever their age: two descriptors each must never come near the limit on descriptors."""

KEPT_RECORDS: Final = 8192
"""Finished commands whose exit code is remembered: about 3 KiB each."""

KILL_PASS_SECONDS: Final = 0.02
"""Between two passes over a dying command's processes; starts and exits are served meanwhile."""

KILL_PASSES: Final = 500
"""About ten seconds. What outlives that cannot be killed (it waits in the kernel for a device)."""

ENTRIES: Final = 1000
"""Entries of a directory in one answer: at most 10 MiB, were every path and link target as long
as it can be; 300 KiB as things are."""

NAMES_AT_ONCE: Final = 4096
"""Names of a directory read in one go, before other requests have their turn: a few ms."""

WATCHED_DIRECTORIES: Final = 16384
"""In one watch: some hundred bytes each here, and about a kilobyte in the kernel."""

WATCH_CHANGES: Final = 4096
"""Kept for a watch's reader that is slow; beyond that it is told to list again."""

GONE_SECONDS: Final = 1.0
"""Between two looks whether a watched directory is still there: a few system calls."""

RENAME_SECONDS: Final = 0.05
"""How long the first half of a rename waits for the second, which follows at once or never."""

FILES_AT_ONCE: Final = 64
"""Files looked at or removed in one go. A system call each or more: under gVisor some 20 us."""

REMOVED_DEPTH: Final = 200
"""Directories within each other that are removed at once; each holds two descriptors meanwhile."""

REMOVAL_PASSES: Final = 16
"""Over one directory. Sandboxed code can fill it as fast as it is emptied."""

REPEATS: Final = 4096
"""Requests with an Idempotency-Key whose answers are kept, a few hundred bytes each."""

REPEATS_SECONDS: Final = 3600.0
"""How long; a client that tries again after that has given up before."""

CONTAINERS_SECONDS: Final = 5.0
"""How long the answer to "which is the only container?" holds; it costs a walk over /proc."""
