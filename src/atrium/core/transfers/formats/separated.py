"""CSV after RFC 4180, in pieces: rows out of a file that is never whole in memory, and rows into one."""

import codecs
import csv
import io
from collections.abc import Iterable, Sequence

from atrium.core.transfers.errors import UnreadableFile

BOM = codecs.BOM_UTF8
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
LONGEST_ROW = 1_048_576
"""Characters; an opening quotation mark that is never closed would otherwise collect the rest of the file."""


class Reader:
    """Feed it pieces of a file; it answers with the rows that are complete, blank lines as empty rows."""

    def __init__(self, delimiter: str | None = None) -> None:
        self.delimiter = delimiter
        self.rows = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._rest = ""

    def feed(self, piece: bytes, *, last: bool = False) -> list[list[str]]:
        lines, held = _lines(self._rest + self._decode(piece, last=last), last=last)
        if self.delimiter is None and lines:
            self.delimiter = sniff(lines[0])
        rows, read = self._parse(lines, last=last)
        self._rest = "".join(lines[read:]) + held
        self.rows += len(rows)
        if len(self._rest) > LONGEST_ROW:
            raise UnreadableFile(
                f"Row {self.rows + 1} is longer than {LONGEST_ROW} characters. Is a quotation mark not closed?"
            )
        return rows

    def _decode(self, piece: bytes, *, last: bool) -> str:
        try:
            return self._decoder.decode(piece, last)
        except UnicodeDecodeError as error:
            near = self.rows + error.object[: error.start].count(b"\n") + 1
            raise UnreadableFile(
                f"The file is not UTF-8 (near line {near}). Save it as “CSV UTF-8” and send it again."
            ) from None

    def _parse(self, lines: list[str], *, last: bool) -> tuple[list[list[str]], int]:
        """The complete rows and how many lines they took; a row that goes on in the next piece is read again then."""
        reader = csv.reader(lines, delimiter=self.delimiter or ",", strict=True)
        rows: list[list[str]] = []
        read = 0
        try:
            for row in reader:
                rows.append(row)
                read = reader.line_num
        except csv.Error as error:
            unfinished = str(error) == "unexpected end of data"
            if unfinished and not last:
                return rows, read
            reason = "a quotation mark is not closed" if unfinished else str(error)
            raise UnreadableFile(f"Row {self.rows + len(rows) + 1} cannot be read: {reason}.") from None
        return rows, read


def _lines(text: str, *, last: bool) -> tuple[list[str], str]:
    """Lines with their ends, whichever those are, and the text behind the last end."""
    lines = list(io.StringIO(text, newline=""))
    if last or not lines:
        return lines, ""
    if lines[-1].endswith("\n"):
        return lines, ""
    return lines[:-1], lines[-1]  # a lone \r at the end may be half of \r\n


def sniff(line: str) -> str:
    """The delimiter that stands most often outside of quotation marks."""
    outside = "".join(line.split('"')[::2])
    return max(DELIMITERS.values(), key=outside.count)


def write(rows: Iterable[Sequence[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
