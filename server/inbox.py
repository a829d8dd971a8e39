"""What a gateway says to the worker of a session, wherever that is."""

from typing import Any

from redis.exceptions import RedisError

from messages import keys
from messages.codec import ToWorker, encode
from server.errors import broker_unavailable


async def send(broker: Any, message: ToWorker) -> None:
    """Writes to the session's inbox, which its worker reads. Raises ServiceError."""
    entry = {keys.FIELD: encode(message)}
    key = keys.inbox(message.session)
    try:
        async with broker.pipeline(transaction=False) as pipe:
            pipe.xadd(key, entry, maxlen=keys.INBOX_LENGTH, approximate=False)
            pipe.expire(key, keys.RECORD_TTL_SECONDS)
            await pipe.execute()
    except RedisError as error:
        raise broker_unavailable(error) from error
