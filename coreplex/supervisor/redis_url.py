"""Looks at the Redis that REDIS_URL names, for the start and for the doctor. Seconds are enough: nothing of ours starts it."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from coreplex.supervisor.trouble import Trouble

LEAST_REDIS = 7
ANSWER_SECS = 3.0


def look(url: str) -> str:
    """What answers there. Trouble says what is wrong, and never the address: it may hold a password."""
    once = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(url, socket_timeout=ANSWER_SECS, socket_connect_timeout=ANSWER_SECS, retry=once) as client:
            about = client.info("server")
    except (redis.RedisError, OSError, ValueError) as error:
        raise Trouble(f"Redis does not answer ({type(error).__name__}).", "Check REDIS_URL and that the server runs.") from None
    version = str(about["redis_version"])
    if int(version.split(".")[0]) < LEAST_REDIS:
        raise Trouble(f"Redis {version} is too old.", f"Use Redis {LEAST_REDIS}, Valkey 8 or newer.")
    return f"{'Valkey ' + about['valkey_version'] if 'valkey_version' in about else 'Redis ' + version} answers"
