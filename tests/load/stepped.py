"""`python -m tests.load.stepped MODULE …`: a module run as a program whose wall clock goes back an hour at SIGUSR2.

What is monotonic goes on, as on a machine whose clock is set. The clock of the database goes back by `STEPPED` and `BACK`: its
functions are looked up in the schema `public` first.
"""

import os
import runpy
import signal
import sys
import time
from datetime import UTC, datetime

from coreplex.platform import clock

HOUR = 3600
STEPPED = """
    CREATE TABLE public.put_back (by_secs int NOT NULL);
    INSERT INTO public.put_back VALUES (0);
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT pg_catalog.now() - make_interval(secs => (SELECT by_secs FROM public.put_back))';
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.clock_timestamp() - make_interval(secs => (SELECT by_secs FROM public.put_back))';
"""
FIRST = 'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'
BACK = f"UPDATE public.put_back SET by_secs = {HOUR}"
_time, _time_ns = time.time, time.time_ns
_back = int(os.environ.get("PUT_BACK", "0"))


def _step(*_: object) -> None:
    global _back
    _back = HOUR


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _step)
    time.time = lambda: _time() - _back
    time.time_ns = lambda: _time_ns() - _back * 10**9
    clock.now = lambda: datetime.fromtimestamp(time.time(), UTC)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
