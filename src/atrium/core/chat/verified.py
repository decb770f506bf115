"""Lets a model's text through sentence by sentence; what holds a figure without evidence is withheld (`figures`)."""

import re

from atrium.core.chat.figures import Evidence

SENTENCE_END = re.compile(r"[.!?…]+[\"'”\u2019)\]*_]*\s+|[。\uff01\uff1f]+|\n+")
LIST_MARK = re.compile(r"^\s*(?:[*_]{2})?(\d{1,2})[.)]\s*")
LONGEST = 2000


class Writer:
    """Takes pieces as they stream in and gives back what may be said of them."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._held = ""
        self._item = 0
        self.withheld = 0
        self.said = ""

    def take(self, piece: str) -> str:
        self._held += piece
        passed = ""
        while (end := self._sentence_end()) is not None:
            passed += self._judge(self._held[:end])
            self._held = self._held[end:]
        return passed

    def rest(self) -> str:
        """The end of the text, which needs no full stop."""
        held, self._held = self._held, ""
        return self._judge(held)

    def drop(self) -> None:
        """Forget a sentence that will not be finished."""
        self._held = ""

    def _sentence_end(self) -> int | None:
        mark = LIST_MARK.match(self._held)
        # "1." begins an item and ends no sentence; a stop counts once whitespace followed, which "1.5" never has
        found = SENTENCE_END.search(self._held, mark.end() if mark else 0)
        if found:
            return found.end()
        return self._held.rfind(" ") + 1 or None if len(self._held) > LONGEST else None

    def _judge(self, sentence: str) -> str:
        checked = sentence
        mark = LIST_MARK.match(sentence)
        if mark and int(mark[1]) == self._item + 1:
            self._item += 1
            checked = sentence[mark.end() :]
        if checked.strip() and self._evidence.unsupported(checked):
            self.withheld += 1
            return ""
        self.said += sentence
        return sentence
