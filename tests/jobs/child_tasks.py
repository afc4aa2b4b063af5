"""Tasks for children that behave in every way a task can."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

from coreplex.engines.child import Report
from coreplex.errors.tree import Invalid, Message, NoModel

Request = dict[str, Any]


def count(request: Request, report: Report) -> Request:
    for number in range(request["to"]):
        report.log(str(number))
    return {"counted": request["to"]}


def long_line(request: Request, report: Report) -> Request:
    report.log("x" * request["size"])
    return {"text": "y" * request["size"]}


def size_of(request: Request, report: Report) -> Request:
    return {"size": len(request["text"])}


def refuse(request: Request, report: Report) -> Request:
    raise Invalid.field(Message("no_number", "{word!r} is not a number", word="{many}"), "config", "nfolds")


def give_up(request: Request, report: Report) -> Request:
    raise NoModel


def raise_secret(request: Request, report: Report) -> Request:
    raise ValueError("s3cret")


def environment(request: Request, report: Report) -> Request:
    return dict(os.environ)


def sleep(request: Request, report: Report) -> Request:
    report.log(str(os.getpid()))
    time.sleep(600)
    return {}


def spin(request: Request, report: Report) -> Request:
    report.log(str(os.getpid()))
    while True:
        pass


def deaf(request: Request, report: Report) -> Request:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    report.log(str(os.getpid()))
    while True:
        time.sleep(1)


def numpy_grows(request: Request, report: Report) -> Request:
    import numpy as np

    kept = []
    while True:
        kept.append(np.ones(4_000_000))


def bytes_grow(request: Request, report: Report) -> Request:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 10) * 1024))


def one_huge_block(request: Request, report: Report) -> Request:
    return {"size": len(bytearray(64 << 30))}


def polars_grows(request: Request, report: Report) -> Request:
    import polars as pl

    frame = pl.DataFrame({"a": range(1_000_000)})
    while True:
        frame = pl.concat([frame, frame], rechunk=True)


def die(request: Request, report: Report) -> Request:
    os.kill(os.getpid(), getattr(signal, request["signal"]))
    time.sleep(10)
    return {}


def until_stopped(request: Request, report: Report) -> Request:
    report.log(str(os.getpid()))
    while not report.stopped:
        time.sleep(0.01)
    return {"stopped": True}


def with_grandchild(request: Request, report: Report) -> Request:
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    report.send("log", message=str(os.getpid()), grandchild=grandchild.pid)
    time.sleep(600)
    return {}
