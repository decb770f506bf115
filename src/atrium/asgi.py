"""The ASGI application for uvicorn and the command line: `uvicorn atrium.asgi:app`."""

from atrium.app import create_app
from atrium.environment import load_settings

app = create_app(load_settings())
