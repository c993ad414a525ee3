import httpx
import pytest

from portfolio_shared.operations.page import page

LOCAL = ("127.0.0.1", 0)


def test_the_newest_report_and_its_gauges_are_shown(tmp_path):
    with page(tmp_path, LOCAL) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert (client.get("/").status_code, client.get("/").text) == (503, "There is no report yet.\n")
        (tmp_path / "report.html").write_text("<p>one", encoding="utf-8")
        (tmp_path / "monitor.prom").write_text("monitor_rows 1\n", encoding="utf-8")
        report, gauges, head = client.get("/?x"), client.get("/metrics"), client.head("/")
    assert (report.text, report.headers["content-type"]) == ("<p>one", "text/html; charset=utf-8")
    assert gauges.text == "monitor_rows 1\n"
    assert gauges.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "6", b"")


@pytest.mark.parametrize("path", ["/findings.json", "/../secret", "/%2e%2e/secret", "/reports"])
def test_nothing_else_is_shown(tmp_path, path):
    (tmp_path / "findings.json").write_text("{}", encoding="utf-8")
    with page(tmp_path, LOCAL) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get(path).status_code == 404
        assert client.post("/").status_code == 501
