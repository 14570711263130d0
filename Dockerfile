# brokergate in a container.
#
#   docker build -t brokergate .
#   docker run --rm brokergate                       # paper account on a synthetic market, to try it inside
#   docker exec CONTAINER brokergate health          # what the health check asks
#
# To be reached from outside, the gateway must listen on 0.0.0.0, and off loopback it refuses to without TLS and tokens
# (or mTLS). That is a decision for the one who runs it, so this file does not take it. Mount a configuration that does:
#
#   docker run -p 50051:50051 -v ./conf:/etc/brokergate:ro -v brokergate-data:/var/lib/brokergate brokergate \
#       serve --config /etc/brokergate/brokergate.yaml --data-dir /var/lib/brokergate
#
# with `server: {listen: 0.0.0.0:50051, ...}` and the paths of the certificates under /etc/brokergate. Behind a proxy
# that ends TLS, on a network of its own, `serve --listen 0.0.0.0:50051 --insecure` says so explicitly.

FROM python:3.11-slim AS build
WORKDIR /src
# Both names: older pip reads the first for what it builds with, newer pip the second.
ENV PIP_CONSTRAINT=/src/constraints.txt PIP_BUILD_CONSTRAINT=/src/constraints.txt PIP_NO_CACHE_DIR=1
COPY constraints.txt pyproject.toml README.md ./
COPY server server
COPY clients/python clients/python
RUN python -m pip wheel --wheel-dir /wheels ".[server]"
RUN python -m venv /opt/brokergate
RUN /opt/brokergate/bin/pip install --no-index --find-links=/wheels "brokergate[server]"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/brokergate --create-home brokergate
COPY --from=build /opt/brokergate /opt/brokergate
ENV PATH=/opt/brokergate/bin:$PATH PYTHONUNBUFFERED=1
USER brokergate
WORKDIR /var/lib/brokergate
VOLUME /var/lib/brokergate
EXPOSE 50051
# The standard gRPC health service, asked over loopback: NOT_SERVING while it drains.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["brokergate", "health"]
ENTRYPOINT ["brokergate"]
CMD ["serve", "--data-dir", "/var/lib/brokergate"]
