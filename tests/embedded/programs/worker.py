"""Waits, and notes that it was asked to stop; or fails at once; or does not want to stop."""

import signal
import sys
from pathlib import Path

notes, behaviour = Path(sys.argv[1]), sys.argv[2]


def stop(number: int, frame: object) -> None:
    with notes.open("a") as file:
        file.write("worker drained\n")
    raise SystemExit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else stop)
if behaviour == "fails":
    sys.exit("the reason of the worker")
while True:
    signal.pause()
