"""The way out leads to public addresses only, costs a bounded time and memory, and blocks nobody meanwhile."""

import asyncio
import itertools
import random
import ssl
import subprocess
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from coreplex.errors.tree import WrongValue
from coreplex.platform import egress
from coreplex.platform.egress import Egress, NoAnswer
from coreplex.platform.public_address import is_own, may_go_to, networks, target_of
from tests.factories.receiver import drip, hang, receiving

LOOPBACK = networks(["127.0.0.0/8"])
BY_SPELLING = """
http://127.0.0.1:{p}/ http://localhost:{p}/ http://LOCALHOST:{p}/ http://localhost.:{p}/ http://sub.localhost:{p}/
http://127.1:{p}/ http://127.0.1:{p}/ http://2130706433:{p}/ http://0x7f000001:{p}/ http://0x7f.0.0.1:{p}/
http://0177.0.0.1:{p}/ http://017700000001:{p}/ http://0X7F.1:{p}/ http://127.0.0.1.:{p}/ http://0:{p}/ http://0.0.0.0:{p}/
http://00000000:{p}/ http://127.0.0.001:{p}/ http://[::1]:{p}/ http://[::]:{p}/ http://[0:0:0:0:0:0:0:1]:{p}/
http://[::ffff:127.0.0.1]:{p}/ http://[::ffff:7f00:1]:{p}/ http://[::127.0.0.1]:{p}/ http://[64:ff9b::127.0.0.1]:{p}/
http://[64:ff9b:1::7f00:1]:{p}/ http://[2002:7f00:1::]:{p}/ http://[2001:0:7f00:1::]:{p}/ http://[fe80::1]:{p}/
http://[::1%25lo]:{p}/ http://[fc00::1]:{p}/ http://[ff02::1]:{p}/ http://[fec0::1]:{p}/ http://[100::1]:{p}/
http://[5f00::1]:{p}/ http://[127.0.0.1]:{p}/ http://127.0.0.2:{p}/ http://10.0.0.1/ http://172.16.0.1/ http://172.31.255.255/
http://192.168.1.1/ http://100.64.0.1/ http://100.127.255.254/ http://169.254.169.254/latest/meta-data/ http://192.0.0.192/
http://198.18.0.1/ http://224.0.0.1/ http://240.0.0.1/ http://255.255.255.255/ http://168.63.129.16/ http://192.0.2.1/
http://203.0.113.1/ http://[2001:db8::1]/ http://user:secret@127.0.0.1:{p}/ http://public.example@127.0.0.1:{p}/
http://127.0.0.1:{p}@public.example/ http://public.example\\@127.0.0.1:{p}/ http://127.0.0.1:{p}#@public.example/
http://public.example#@127.0.0.1:{p}/ http://①②⑦.⓪.⓪.①:{p}/ http://127。0。0。1:{p}/ http://127.0.0.1%00.example:{p}/
http://%31%32%37.0.0.1:{p}/ http://127.0.0.1:0/ http://127.0.0.1:{p}:80/ http://127.0.0.1:99999/ http:/127.0.0.1:{p}/
http:127.0.0.1:{p} //127.0.0.1:{p}/ ftp://127.0.0.1:{p}/ file:///etc/passwd gopher://127.0.0.1:{p}/_x unix:///tmp/s http://
http:/// https://127.0.0.1:{p}/ javascript:alert(1)
""".split()  # noqa: SIM905 a line for each would hide what they have in common
WITH_BLANKS = ["http://127.0.0.1:{p}/ x", "http://127.0.0.1\t:{p}/", "http://127.0.0.1:{p}/\r\nHost: x", " http://127.0.0.1:{p}/"]
INSIDE = """
0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.8.8.8 169.254.169.254 172.20.0.1 192.168.0.1 192.0.0.8 198.19.0.1 224.0.0.251
255.255.255.255 ::1 :: ::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 64:ff9b::808:808 2002:7f00:1:: 2001::1 fe80::1%lo fd00::1
ff02::1
""".split()  # noqa: SIM905 a line for each would hide what they have in common


class Names:
    """A name server; each look-up takes the next answer, the last for good."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def refused(client: Egress, url: str) -> str:
    with pytest.raises(NoAnswer) as found:
        await client.post(url, {}, b"{}")
    return str(found.value.message)


async def test_no_spelling_of_a_private_address_is_connected_to() -> None:
    assert len(BY_SPELLING + WITH_BLANKS) >= 80
    async with receiving(host="127.0.0.1") as canary:
        for url in BY_SPELLING + WITH_BLANKS:
            # `public.example` leads to the canary too: of what the URL names nothing else may be looked up.
            client = Egress(resolve=Names(["127.0.0.1"]))
            assert await refused(client, url.format(p=canary.port)), url
        assert canary.connections == 0
        assert await Egress(LOOPBACK).post(f"http://127.0.0.1:{canary.port}/", {}, b"{}") == 204, "the canary listens"
        assert canary.connections == 1


@pytest.mark.parametrize("inside", INSIDE)
async def test_a_name_with_a_private_address_is_not_connected_to(inside: str) -> None:
    async with receiving() as canary:
        for answer in ([inside], ["198.41.0.4", inside], [inside, "198.41.0.4"]):
            said = await refused(Egress(resolve=Names(answer)), f"http://receiver.example:{canary.port}/")
            assert "not public" in said
            assert inside not in said, "the addresses of a network are its own business"
        assert canary.connections == 0


async def test_a_name_that_changes_its_mind_is_asked_once() -> None:
    async with receiving() as canary:
        names = Names(["127.0.0.1"], ["127.0.0.9"])
        assert await Egress(networks(["127.0.0.1"]), names).post(f"http://receiver.example:{canary.port}/a?b", {}, b"{}") == 204
        assert names.asked == 1
        assert canary.requests[0].headers["host"] == f"receiver.example:{canary.port}"
        assert canary.requests[0].line == "POST /a?b HTTP/1.1"
        await refused(Egress(networks(["127.0.0.1"]), names), f"http://receiver.example:{canary.port}/")
        assert canary.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_like_any_other(status: int) -> None:
    async with receiving() as canary, receiving() as receiver:
        receiver.answer = f"HTTP/1.1 {status} Gone there\r\nLocation: http://127.0.0.1:{canary.port}/\r\n\r\n".encode()
        assert await Egress(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", {}, b"{}") == status
        assert canary.connections == 0


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await Egress(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", {}, b"{}") == 204
        assert (proxy.connections, receiver.connections) == (0, 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small part of the time."""
    monkeypatch.setattr(egress, "CONNECT_SECS", 0.5)
    monkeypatch.setattr(egress, "TOTAL_SECS", 0.6)


@pytest.mark.usefixtures("quick")
async def test_who_is_slow_is_left_and_nobody_waits_meanwhile() -> None:
    ticks = 0

    async def clock() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        for answer in (hang, drip(b""), drip(b"HTTP/1.1 200 OK\r\nX-Slow: ")):
            receiver.answer = answer
            began, ticking = time.monotonic(), asyncio.create_task(clock())
            told = await asyncio.gather(*(refused(Egress(LOOPBACK), url) for _ in range(20)))
            ticking.cancel()
            assert set(told) == {"It did not answer within 10 seconds."}
            assert 0.5 < time.monotonic() - began < 3
        assert ticks > 40
        receiver.answer = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        assert await Egress(LOOPBACK).post(url, {}, b"{}") == 200, "the answer is there, whatever becomes of its body"


@pytest.mark.usefixtures("quick")
async def test_a_name_server_that_says_nothing_is_left() -> None:
    async def never(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return ()

    assert await refused(Egress(resolve=never), "https://receiver.example/") == "No connection came about within 5 seconds."


async def test_of_an_endless_answer_a_mebibyte_is_read() -> None:
    async with receiving() as receiver:
        receiver.answer = receiver.torrent
        began = time.monotonic()
        assert await Egress(LOOPBACK).post(f"http://127.0.0.1:{receiver.port}/", {}, b"{}") == 200
        assert time.monotonic() - began < 5
        assert receiver.written < 16 * 1024**2, "the kernel's buffers, and no more"


ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\n" + b"X-More: " + b"x" * 200_000
MANY_HEADS = b"HTTP/1.1 100 Continue\r\n\r\n" * 60_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "The connection ended before an answer."),
        (b"HTTP/1.1 200", "The connection ended before an answer."),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "What it answered is not HTTP/1.1."),
        (ENDLESS_HEAD, "What it answered is not HTTP/1.1."),
        (MANY_HEADS, "The connection ended before an answer."),
    ],
)
async def test_what_is_no_answer_is_said(answer: bytes, said: str) -> None:
    async with receiving(answer) as receiver:
        assert await refused(Egress(LOOPBACK), f"http://127.0.0.1:{receiver.port}/") == said


async def test_who_is_not_there_is_said() -> None:
    async with receiving() as receiver:
        port = receiver.port
    assert await refused(Egress(LOOPBACK), f"http://127.0.0.1:{port}/") == "It refused the connection."
    assert await refused(Egress(), "https://nothing.invalid/") == "The name nothing.invalid was not found."


async def test_a_certificate_must_be_of_the_name(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=receiver.example"]
    files = ["-addext", "subjectAltName=DNS:receiver.example", "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, [*made, *files], check=True, capture_output=True)
    ours, theirs = ssl.create_default_context(cafile=certificate), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(certificate, key)
    names = Names(["127.0.0.1"])
    async with receiving(tls=theirs) as receiver:
        good = Egress(LOOPBACK, names, lambda: ours)
        assert await good.post(f"https://receiver.example:{receiver.port}/", {}, b"{}") == 204
        assert receiver.requests[0].headers["host"] == f"receiver.example:{receiver.port}"
        assert "certificate" in await refused(good, f"https://other.example:{receiver.port}/")
        assert "certificate" in await refused(Egress(LOOPBACK, names), f"https://receiver.example:{receiver.port}/")
        assert len(receiver.requests) == 1


def test_what_is_public_here_is_global_in_python_too() -> None:
    chance = random.Random(7)
    for _ in range(3_000):
        four, six = IPv4Address(chance.getrandbits(32)), IPv6Address(0x2 << 124 | chance.getrandbits(125))
        for address in (four, six):
            assert not (may_go_to(address) and (not address.is_global or address.is_multicast or address.is_reserved)), address
    assert all(may_go_to(ip_address(one)) for one in ("1.1.1.1", "198.41.0.4", "2606:4700::1111", "2001:4860:4860::8888"))


def test_an_opened_network_is_open_and_no_other() -> None:
    opened = networks(["10.1.0.0/16", "fd00::/8"])
    assert may_go_to(ip_address("10.1.2.3"), opened)
    assert may_go_to(ip_address("fd12::1"), opened)
    for other in ("10.2.0.1", "127.0.0.1", "::ffff:10.1.2.3", "fe80::1"):
        assert not may_go_to(ip_address(other), opened)


def test_addresses_of_this_machine_are_known() -> None:
    assert is_own(ip_address("127.0.0.1"))
    assert not is_own(ip_address("198.41.0.4"))


def test_urls_are_read_in_one_way() -> None:
    read = target_of("HTTPS://Receiver.Example.:8443/a/b?c=%C3%A9")
    assert (read.scheme, read.host, read.port, read.path) == ("https", "receiver.example", 8443, "/a/b?c=%C3%A9")
    assert target_of("http://[2606:4700::1111]").authority == "[2606:4700::1111]"
    for start, rest in itertools.product(
        ("http://", "https://"), ("a..b", "-a.example", "a-.example", "a" * 64, "a/ ", "[::1", "")
    ):
        with pytest.raises(WrongValue):
            target_of(start + rest)
