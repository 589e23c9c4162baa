"""Python client of Isola, whatever else is installed under the name `isola`.

`import isola` gives the same names. See README.md for a path from nothing to an agent's loop.
"""

from isola_sdk.aio.client import AsyncIsola
from isola_sdk.aio.commands import AsyncCommand, AsyncCommands
from isola_sdk.aio.filesystem import AsyncFilesystem
from isola_sdk.aio.sandbox import AsyncSandbox
from isola_sdk.aio.sandboxes import AsyncSandboxes
from isola_sdk.aio.snapshots import AsyncRootfsSnapshot, AsyncRootfsSnapshots
from isola_sdk.aio.streams import AsyncStreamReader
from isola_sdk.aio.terminals import AsyncTerminal
from isola_sdk.deadlines import deadline
from isola_sdk.errors import (
    APIConnectionError,
    APIError,
    BadGatewayError,
    BadRequestError,
    ConflictError,
    GoneError,
    InternalError,
    IsolaError,
    IsolaTimeoutError,
    NotFoundError,
    RateLimitError,
    SandboxFailedError,
    SnapshotFailedError,
    StreamLostError,
    TamperedHistoryError,
    UnavailableError,
    ValidationError,
    Violation,
)
from isola_sdk.models import (
    CommandInfo,
    CommandStatus,
    Container,
    ContainerInfo,
    Entry,
    FileChange,
    Network,
    NetworkRefusal,
    NetworkRefusals,
    RecordSummary,
    ResourceList,
    ResourceRequirements,
    SandboxStatus,
    SandboxSummary,
    SnapshotRootfs,
)
from isola_sdk.models_snapshots import (
    DeletionPolicy,
    RootfsSnapshotStatus,
    RootfsSnapshotSummary,
)
from isola_sdk.protocol.commands import CommandResult, TerminalSize
from isola_sdk.protocol.histories import History, HistoryEntry
from isola_sdk.protocol.retrying import Retrying
from isola_sdk.sync.client import Isola
from isola_sdk.sync.commands import Command, Commands
from isola_sdk.sync.filesystem import Filesystem
from isola_sdk.sync.sandbox import Sandbox
from isola_sdk.sync.sandboxes import Sandboxes
from isola_sdk.sync.snapshots import RootfsSnapshot, RootfsSnapshots
from isola_sdk.sync.streams import StreamReader
from isola_sdk.sync.terminals import Terminal
from isola_sdk.version import VERSION

__version__ = VERSION

__all__ = [
    "APIConnectionError",
    "APIError",
    "AsyncCommand",
    "AsyncCommands",
    "AsyncFilesystem",
    "AsyncIsola",
    "AsyncRootfsSnapshot",
    "AsyncRootfsSnapshots",
    "AsyncSandbox",
    "AsyncSandboxes",
    "AsyncStreamReader",
    "AsyncTerminal",
    "BadGatewayError",
    "BadRequestError",
    "Command",
    "CommandInfo",
    "CommandResult",
    "CommandStatus",
    "Commands",
    "ConflictError",
    "Container",
    "ContainerInfo",
    "DeletionPolicy",
    "Entry",
    "FileChange",
    "Filesystem",
    "GoneError",
    "History",
    "HistoryEntry",
    "InternalError",
    "Isola",
    "IsolaError",
    "IsolaTimeoutError",
    "Network",
    "NetworkRefusal",
    "NetworkRefusals",
    "NotFoundError",
    "RateLimitError",
    "RecordSummary",
    "ResourceList",
    "ResourceRequirements",
    "Retrying",
    "RootfsSnapshot",
    "RootfsSnapshotStatus",
    "RootfsSnapshotSummary",
    "RootfsSnapshots",
    "Sandbox",
    "SandboxFailedError",
    "SandboxStatus",
    "SandboxSummary",
    "Sandboxes",
    "SnapshotFailedError",
    "SnapshotRootfs",
    "StreamLostError",
    "StreamReader",
    "TamperedHistoryError",
    "Terminal",
    "TerminalSize",
    "UnavailableError",
    "ValidationError",
    "Violation",
    "__version__",
    "deadline",
]
