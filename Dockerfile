# One image, three commands: the API (default), the worker and the migrations.
#   atrium database upgrade --no-prompt      once per release, before the others; then atrium database grant
#   atrium workers run                       any number of workers
# It carries neither the embedded servers nor development tools.

FROM python:3.12-slim AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/atrium \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore uv
WORKDIR /build
# The dependencies are a layer of their own, which a change of the sources leaves as it is.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-default-groups --extra otel --no-install-project
COPY README.md ./
COPY src src
COPY db db
RUN uv sync --frozen --no-default-groups --extra otel --no-editable

FROM python:3.12-slim
ENV PATH=/opt/atrium/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production
# The ids are fixed so that volumes and security policies can name them.
RUN groupadd --gid 10001 atrium \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/atrium --shell /usr/sbin/nologin atrium \
    && install -d -o 10001 -g 10001 /srv/atrium
COPY --from=build /opt/atrium /opt/atrium
WORKDIR /srv/atrium
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection; c = HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["uvicorn", "atrium.asgi:app", "--host", "0.0.0.0", "--port", "8000", \
     "--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log", \
     "--ws-per-message-deflate", "false", \
     "--log-level", "warning", "--timeout-graceful-shutdown", "20"]
