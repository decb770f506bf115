"""Stands in for migrations and demo data: notes what it was asked for."""

import json
import sys
from pathlib import Path

addresses = json.loads(sys.stdin.readline())
with Path(sys.argv[1]).open("a") as file:
    file.write(f"migrated {addresses['DATABASE_URL']}\n")
    if "--demo" in sys.argv:
        file.write("demo loaded\n")
