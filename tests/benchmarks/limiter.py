"""What the durability of the embedded Valkey costs a request, since each is counted there; writes limiter.md.

    python -m tests.benchmarks.limiter

One stack with its own Valkey (`appendfsync always`: each count waits for the disk), one beside a Valkey with `everysec`.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coreplex.supervisor.binaries import valkey_server
from tests.benchmarks import passes, seed, serving, stack

FLAGS = ("--port", "0", "--unixsocketperm", "777", "--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
METHOD = """# The rate limiter's disk

Measured by `tests/benchmarks/limiter.py`. {machine}. One-row predictions by REST on two whole stacks, taken in turn for 4 s each,
medians; they differ in the `appendfsync` of their Valkey only. `everysec` is what ships since: see docs/decisions/0012.
"""


@contextmanager
def everysec() -> Iterator[str]:
    """Address of a Valkey that writes to disk once a second."""
    with tempfile.TemporaryDirectory(prefix="coreplexml-bench-") as folder:
        Path(folder).chmod(0o755)
        place = f"{folder}/valkey.sock"
        command = [str(valkey_server()), *FLAGS, "--unixsocket", place, "--dir", folder]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(place).exists():
                time.sleep(0.05)
            yield f"unix://{place}?db=0"
        finally:
            child.terminate()
            child.wait(10)


def main() -> None:
    trained = seed.train()
    with everysec() as redis_url, stack.running() as always, stack.running(REDIS_URL=redis_url) as seldom:
        contestants = []
        for name, one in (("`always` (embedded default)", always), ("`everysec`", seldom)):
            rest, _ = serving.own_contestants(one, seed.seed(one, trained), trained.row)
            rest.name = name
            contestants.append(rest)
        text = METHOD.format(machine=stack.cores())
        for concurrency, times in ((8, serving.PASSES), (1, serving.FEWER)):
            text += f"\n## Concurrency {concurrency} ({times} passes)\n\n"
            text += passes.interleaved(contestants, times, concurrency) + "\n"
    passes.write("limiter", text)


if __name__ == "__main__":
    main()
