# One image for every role; the role is the command: docker-compose.yml.
FROM python:3.11.13-slim-bookworm

# a number, so that Kubernetes' runAsNonRoot can check it
RUN useradd --uid 10001 --create-home vecferry

WORKDIR /opt/vecferry
COPY tools/locks/run.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r run.lock
COPY LICENSE ./
COPY vecferry ./vecferry

ENV PYTHONPATH=/opt/vecferry PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
# a role drains on it and leaves a state from which it goes on
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "vecferry.cli.main"]
