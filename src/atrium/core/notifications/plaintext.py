"""The text of a mail that was written as HTML only."""

import re
from html.parser import HTMLParser

SILENT = frozenset({"head", "script", "style", "title"})
BLOCKS = frozenset({"blockquote", "div", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "table", "tr", "ul"})
APART = frozenset({"blockquote", "h1", "h2", "h3", "h4", "ol", "p", "table", "ul"})


def plain_text(html: str) -> str:
    """Paragraphs as paragraphs, items with a dash, and behind the words of a link its address."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(reader.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0
        self._links: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SILENT:
            self._silent += 1
        elif tag == "br":
            self._say("\n")
        elif tag == "a":
            self._links.append((dict(attrs).get("href") or "", len(self.pieces)))
        elif tag in BLOCKS:
            self._part(tag)
        if tag == "li":
            self._say("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._links:
            href, begin = self._links.pop()
            if href and "".join(self.pieces[begin:]).strip() != href:
                self._say(f" ({href})")
        elif tag in BLOCKS:
            self._part(tag)

    def handle_data(self, data: str) -> None:
        words = re.sub(r"\s+", " ", data)
        if words != " " or (self.pieces and not self.pieces[-1].endswith("\n")):
            self._say(words)

    def _say(self, text: str) -> None:
        if not self._silent:
            self.pieces.append(text)

    def _part(self, tag: str) -> None:
        """Begin a new line, behind an empty one around paragraphs, unless that was done already."""
        said = "".join(self.pieces[-4:]).rstrip(" ")
        breaks = len(said) - len(said.rstrip("\n"))
        self._say("\n" * ((2 if tag in APART else 1) - breaks))
