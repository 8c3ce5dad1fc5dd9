# One recipe for every service: docker build --build-arg SERVICE=training .
# The image holds shared/ and that one service, so an import of a neighbour fails at start even if the linter was skipped.
FROM python:3.13-slim AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The environment carries no pip of its own: nothing can be installed into a running service.
RUN ["python", "-m", "venv", "--without-pip", "/venv"]
COPY requirements/service.txt requirements.txt
RUN ["python", "-m", "pip", "--python", "/venv/bin/python", "install", "--require-hashes", "--only-binary", ":all:", "-r", "requirements.txt"]

FROM python:3.13-slim
ARG SERVICE
# Without a name, `COPY services/${SERVICE}` would put every service into the image.
RUN : "${SERVICE:?say which service: --build-arg SERVICE=training}"
# The slots for secrets and checkpoints belong to the service's user, because a new named volume takes its owner from the image.
RUN ["install", "--directory", "--owner", "10001", "--group", "10001", "--mode", "0750", "/secrets/own", "/secrets/admin", "/checkpoints"]
COPY --from=dependencies /venv /venv
WORKDIR /app
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV TSUNAGU_SERVICE=${SERVICE}
COPY shared shared
COPY services/${SERVICE} services/${SERVICE}
# The file system is read-only later on: what is not compiled now would be compiled again at every start.
RUN ["python", "-c", "import compileall, sys; sys.exit(not compileall.compile_dir('/app', quiet=1))"]
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=10s --start-period=180s --retries=3 CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/ready', timeout=8)"]
CMD ["python", "-m", "shared.service", "run", "--host", "0.0.0.0"]
