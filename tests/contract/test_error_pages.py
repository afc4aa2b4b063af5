"""Errors as pages: a browser sees HTML with what happened, programs see the JSON of the contract."""

from httpx import AsyncClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
UNKNOWN = "/api/projects/<script>"


async def test_a_browser_gets_a_page(client: AsyncClient) -> None:
    for path, status in (("/nothing/here", 404), (UNKNOWN, 401), ("/api/models", 401)):
        page = await client.get(path, headers={"Accept": BROWSER})
        assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
        assert int(page.headers["Content-Length"]) == len(page.content)
        assert str(status) in page.text
        assert page.headers["X-Request-Id"] in page.text
        assert "<script" not in page.text
        assert "script-src" not in page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "Accept" in page.headers["Vary"]
    graphql = await client.get("/graphql?query=mutation{logout{ok}}", headers={"Accept": BROWSER})
    assert "<p>A mutation changes something: send it by POST.</p>" in graphql.text
    assert graphql.headers["X-Request-Id"] in graphql.text


async def test_a_report_is_shown_as_it_is(client: AsyncClient) -> None:
    report = await client.get("/ready", headers={"Accept": BROWSER})
    assert (report.status_code, report.json()["ready"]) == (503, False)
    assert report.json()["checks"]["worker"] != "ok"


async def test_wrong_values_are_a_sentence(client: AsyncClient) -> None:
    page = await client.get("/api/auth/verify-email", headers={"Accept": BROWSER})
    assert (page.status_code, "<p>token: Field required</p>" in page.text) == (422, True)


async def test_a_program_gets_json(client: AsyncClient) -> None:
    for accept in ("*/*", "application/json", ""):
        answer = await client.get("/api/models", headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    wrote = await client.post("/api/projects", json={}, headers={"Accept": BROWSER})
    assert (wrote.status_code, wrote.json()["code"]) == (401, "unauthenticated")


async def test_head_has_the_head_of_the_page_and_successes_pass(client: AsyncClient) -> None:
    head = await client.head("/nothing/here", headers={"Accept": BROWSER})
    assert (head.status_code, head.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert (await client.get("/health", headers={"Accept": BROWSER})).json()["status"] == "ok"
