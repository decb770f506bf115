"""Where the settings of a process come from: the environment, `.env`, and the embedded servers that run in this
folder.
"""

import os
from pathlib import Path

from atrium.core.config import IGNORED, Settings, read_env_file
from atrium.embedded import find_running

FOLDER = Path(".atrium")
SECRET = FOLDER / "secret"


def variables() -> dict[str, str]:
    """What is set, the environment above `.env`; servers that `atrium up` runs here fill what is missing."""
    found = {**read_env_file(Path(".env")), **os.environ}
    if not found.get("DATABASE_URL") or not found.get("REDIS_URL"):
        running = find_running(FOLDER)
        if running is not None:
            found["DATABASE_URL"] = found.get("DATABASE_URL") or running.database_url or ""
            found["REDIS_URL"] = found.get("REDIS_URL") or running.redis_url or ""
    if not found.get("SECRET_KEY") and SECRET.is_file():
        found["SECRET_KEY"] = SECRET.read_text(encoding="ascii").strip()
    return found


def load_settings() -> Settings:
    """The settings of this process; raises InvalidSettings."""
    return Settings.from_env(variables())


def ignored_variables() -> list[str]:
    """Names of the documented systems that are set and mean nothing here."""
    return [name for name in IGNORED if variables().get(name)]
