"""What a gateway says to the worker of a session, wherever that is."""

from typing import Any

from redis.exceptions import RedisError

from messages import keys
from messages.codec import ToWorker, encode
from server.errors import broker_unavailable


async def send(broker: Any, message: ToWorker) -> bytes:
    """Writes to the session's inbox, which its worker reads; where it stands there. Raises
    ServiceError."""
    entry = {keys.FIELD: encode(message)}
    key = keys.inbox(message.session)
    try:
        async with broker.pipeline(transaction=False) as pipe:
            pipe.xadd(key, entry, maxlen=keys.INBOX_LENGTH, approximate=False)
            pipe.expire(key, keys.RECORD_TTL_SECONDS)
            written: bytes = (await pipe.execute())[0]
    except RedisError as error:
        raise broker_unavailable(error) from error
    return written
