# Every part of the service; docker-compose.yml says which one a container runs.
# A container listens on all its addresses, so it wants API keys (docs/security.md), in a volume:
#   docker run --rm -v keys:/keys lookback keys create NAME --file /keys/keys.json
#   docker run -p 8400:8400 -v keys:/keys -e LOOKBACK_API_KEYS_FILE=/keys/keys.json lookback
# or, where only this machine reaches it:
#   docker run -p 127.0.0.1:8400:8400 -e LOOKBACK_PUBLISHED_HOST=127.0.0.1 lookback
# Without a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
FROM python:3.12-slim
ARG TORCH_INDEX=""
WORKDIR /app
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY benchmarks benchmarks
COPY broker broker
COPY clients/python clients/python
COPY lookback lookback
COPY messages messages
COPY model_worker model_worker
COPY server server
COPY training training
RUN PIP_EXTRA_INDEX_URL=$TORCH_INDEX pip install --no-cache-dir -e .
COPY client_web client_web
COPY clients/js clients/js
COPY models models
COPY samples samples
RUN useradd --create-home lookback && install -d -o lookback /keys /home/lookback/.cache /home/lookback/.cache/huggingface
USER lookback
EXPOSE 8400
ENTRYPOINT ["lookback"]
CMD ["serve", "--host", "0.0.0.0"]
