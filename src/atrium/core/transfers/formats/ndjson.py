"""Records as lines of JSON, exactly as they are on the wire."""

import codecs

from atrium.core.transfers.errors import UnreadableFile

LONGEST_LINE = 1_048_576


class Reader:
    """Feed it pieces of a file; it answers with the lines that are complete, blank ones as empty bytes."""

    def __init__(self) -> None:
        self.rows = 0
        self._rest = b""

    def feed(self, piece: bytes, *, last: bool = False) -> list[bytes]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if last and self._rest:
            lines.append(self._rest)
            self._rest = b""
        if self.rows == 0 and lines:
            lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
        if max(len(self._rest), *map(len, lines), 0) > LONGEST_LINE:
            raise UnreadableFile(f"A line behind row {self.rows} is longer than {LONGEST_LINE} bytes.")
        self.rows += len(lines)
        return [line.strip() for line in lines]
