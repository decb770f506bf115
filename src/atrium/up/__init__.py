"""`atrium up`: everything that a working Atrium needs, in one terminal.

It starts the embedded servers, migrates, loads the demo data, and runs the API and a worker. What dies is
started again; what is asked to stop stops in order, clients of the database before the database, even when
this process is killed without a chance to do it itself.
"""

from .options import Options, Program
from .supervisor import up

__all__ = ["Options", "Program", "up"]
