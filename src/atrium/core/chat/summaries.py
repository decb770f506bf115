"""Rolling summaries without a model: each question with the first sentence of its answer, the oldest given up first.

Nothing is worded anew, so nothing can be wrong that was not said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

LONGEST = 4000
LONGEST_LINE = 280
MOST_POINTS = 12
CHARACTERS_PER_TOKEN = 4
SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|\n|$)", re.DOTALL)
SPEAKERS = {"user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Summary:
    text: str = ""
    key_points: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """An estimate: four characters to a token."""
        return -(-len(self.text) // CHARACTERS_PER_TOKEN)


def summarize(before: Summary, said: Sequence[tuple[str, str]]) -> Summary:
    """`said` is (role, content) in order; the earlier summary is carried on as far as there is room."""
    lines = before.text.splitlines()
    points = list(before.key_points)
    for role, content in said:
        sentences = [one.strip() for found in SENTENCE.finditer(content) if (one := found[0]).strip()]
        if not sentences:
            continue
        lines.append(f"{SPEAKERS[role]}: {_cut(sentences[0])}")
        if role == "assistant":
            points += [_cut(sentence) for sentence in sentences if any(letter.isdigit() for letter in sentence)]
    while len(lines) > 1 and sum(len(line) + 1 for line in lines) > LONGEST:
        del lines[0]
    return Summary("\n".join(lines), list(dict.fromkeys(points))[-MOST_POINTS:])


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1].rstrip() + "…"
