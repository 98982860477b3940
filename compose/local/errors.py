"""What can go wrong while the system is started on this machine.

LocalError
├── FolderInUse      another stack runs in the same folder
├── PackagesMissing   server binaries are absent and may not be installed
├── ServerFailed      a private PostgreSQL or RabbitMQ did not do what it was told
└── ProcessFailed     a process ended, or was not ready in time
"""


class LocalError(Exception):
    """Base of everything this package raises; its text says what is wrong and what to do."""


class FolderInUse(LocalError):
    """Another stack runs in the same folder."""


class PackagesMissing(LocalError):
    """Server binaries are absent and this user may not install them."""


class ServerFailed(LocalError):
    """A private server did not start, stop or answer as it should."""


class ProcessFailed(LocalError):
    """A process ended before it was ready, was not ready in time, or failed its one task."""
