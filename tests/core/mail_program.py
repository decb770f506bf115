"""A worker's mail loop in a process of its own, to be killed; its settings stand in the environment."""

import asyncio
import os

from atrium.core.config import Settings
from atrium.core.notifications.sending import keep_mailing
from atrium.core.runtime import Runtime


async def main() -> None:
    async with Runtime.open(Settings.from_env(os.environ)) as runtime:
        await keep_mailing(runtime)


asyncio.run(main())
