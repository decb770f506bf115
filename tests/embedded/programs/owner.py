"""Start the servers of a folder, say where they are, and keep them until this process is killed."""

import json
import signal
import sys
from pathlib import Path

from atrium import embedded

with embedded.start(Path(sys.argv[1])) as servers:
    found = {
        "database_url": servers.urls.database_url,
        "redis_url": servers.urls.redis_url,
        "started": servers.urls.started,
        "pids": [servers.postgres_pid, servers.valkey_pid],
    }
    print(json.dumps(found), flush=True)
    if sys.argv[2:] == ["once"]:
        sys.exit()
    while True:
        signal.pause()
