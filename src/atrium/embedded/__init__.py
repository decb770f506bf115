"""PostgreSQL and Valkey without an installation, for development, for tests and for a single machine.

Their programs come as wheels. The data, a lock and the addresses live in one folder, `.atrium` by default:
the first process that calls `start` runs the servers, later ones attach, and `find_running` tells any other
command where they are. They stop with the process that runs them, however it ends. Nothing here imports the
rest of the application.
"""

from .errors import EmbeddedError
from .home import erase, prepare_folder
from .launcher import Embedded, Servers, find_running, is_in_use, start

__all__ = [
    "Embedded",
    "EmbeddedError",
    "Servers",
    "erase",
    "find_running",
    "is_in_use",
    "prepare_folder",
    "start",
]
