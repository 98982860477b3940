"""The errors of starting the system on this machine: each text says what is wrong and what to do."""


class LocalError(Exception):
    """Base of everything that this package raises."""


class FileBroken(LocalError):
    """A file that keeps secrets, ports or the running stack cannot be read."""


class FolderMissing(LocalError):
    """A folder for our files cannot be made."""


class FolderInUse(LocalError):
    """Another stack runs in the same folder."""


class PackagesMissing(LocalError):
    """The servers' programs are missing, and this user may not install them."""


class ServerFailed(LocalError):
    """A private PostgreSQL or RabbitMQ did not start, stop or answer as it should."""


class ProcessFailed(LocalError):
    """A process ended before it was ready, was not ready in time, or failed its one task."""
