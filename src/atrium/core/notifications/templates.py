"""What mails say: templates in files beside the module that owns them, each with a sample that shows what it becomes.

    RESET = mail_template("reset_password", Path(__file__).parent / "mail_templates", title="…", sample={"name": "…"})

`reset_password.subject.txt` is required, and one of `reset_password.txt` and `reset_password.html`; HTML without a
text gets one made from it, so that every mail with HTML has both. HTML may extend `layout.html`. Templates run in a
sandbox, a name that nobody gave is an error, and in HTML every value is escaped.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from atrium.core.errors import Invalid
from atrium.core.notifications.plaintext import plain_text

LAYOUTS = Path(__file__).parent / "mail_templates"


@dataclass(frozen=True, slots=True)
class Rendered:
    subject: str
    text: str
    html: str | None


@dataclass(frozen=True, slots=True, eq=False)
class MailTemplate:
    name: str
    folder: Path
    title: str
    sample: Mapping[str, Any]

    def render(self, context: Mapping[str, Any]) -> Rendered:
        """Subject and bodies; raises Invalid for a subject that would be more than one line."""
        subject = self._part("subject.txt", context)
        if subject is None:
            raise LookupError(f"{self.name} has no subject")
        text, html = self._part("txt", context), self._part("html", context)
        if text is None and html is None:
            raise LookupError(f"{self.name} says nothing")
        return Rendered(one_line(subject), plain_text(html or "") if text is None else text, html)

    def _part(self, suffix: str, context: Mapping[str, Any]) -> str | None:
        name = f"{self.name}.{suffix}"
        environment = _environment(self.folder)
        try:
            template = environment.get_template(name)
        except TemplateNotFound as error:
            if error.name != name:
                raise
            return None
        return template.render(context)


def one_line(subject: str) -> str:
    """The subject; a line break in it would begin a header of somebody else's choice."""
    subject = subject.strip()
    if not subject.isprintable():
        raise Invalid("The subject of a mail is one line of printable characters.")
    return subject


@functools.cache
def _environment(folder: Path) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader([folder, LAYOUTS]),
        autoescape=lambda name: name is None or name.endswith(".html"),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


TEMPLATES: dict[str, MailTemplate] = {}


def mail_template(name: str, folder: Path, *, title: str, sample: Mapping[str, Any]) -> MailTemplate:
    """Declare a template; administrators see it filled with its sample."""
    if name in TEMPLATES:
        raise ValueError(f"the mail {name} is declared twice")
    TEMPLATES[name] = MailTemplate(name, folder, title, sample)
    return TEMPLATES[name]
