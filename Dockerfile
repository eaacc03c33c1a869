# CPU image for `cardpose predict`, `cardpose label` and, after `make app`, `cardpose app`; see docs/platforms.md.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
COPY requirements.lock /tmp/requirements.lock
COPY --from=build /wheels /wheels
# The lock file holds the versions; torch without CUDA comes from its own index.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu --constraint /tmp/requirements.lock \
    "$(echo /wheels/cardpose-*.whl)[app,pretrained]" \
    && rm -rf /wheels /tmp/requirements.lock \
    && useradd --uid 1000 --create-home cardpose
USER 1000
WORKDIR /data
EXPOSE 8600 8700
ENTRYPOINT ["cardpose"]
CMD ["--help"]
