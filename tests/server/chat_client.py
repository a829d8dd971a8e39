"""OpenAI's client of chat completions."""

from typing import Any

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

PATH = "/v1/chat/completions"


def client_of(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-none", max_retries=0)


def user(text: Any) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]
