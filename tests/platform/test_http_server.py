"""The service's own server, and the page of its interface as a browser shows it, which loads nothing from elsewhere."""

import socket

import httpx
import pytest

from airshower.configs.presets import tiny_transfer
from airshower.platform.access import Access
from airshower.platform.http_server import HttpServerError, http_server
from airshower.platform.jobs import JobTable
from airshower.platform.video_api import VideoApi


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    jobs = JobTable(tmp_path_factory.mktemp("work"))
    api = VideoApi(jobs, preset=tiny_transfer(), access=Access(), upload_limit_bytes=1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with http_server(api.app(), "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}"


def test_it_listens_while_the_service_starts(address):
    assert httpx.get(f"{address}/healthz").json()["status"] == "starting"


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_an_address_that_cannot_be_listened_on_is_one_line(address, host):
    port = int(address.rpartition(":")[2])
    with (
        pytest.raises(
            HttpServerError, match=rf"^{host}:{port} can't be listened on: .*: use another --host or --port$"
        ),
        http_server(None, host, port),
    ):
        pass


def test_the_page_shows_every_route_and_field_and_loads_nothing(tab, address):
    tab.open(f"{address}/docs")
    document = httpx.get(f"{address}/openapi.json").json()
    operations = sum(len(methods) for methods in document["paths"].values())
    assert tab.value("document.querySelectorAll('.method').length") == operations
    assert tab.value("performance.getEntriesByType('resource').length + document.scripts.length") == 0
    body = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    fields = "[...document.querySelectorAll('details')].find((one) => one.textContent.includes('application/json'))"
    tab.value(f"{fields}.open = true")
    shown = tab.value(f"[...{fields}.querySelectorAll('td:first-child > code')].map((code) => code.textContent)")
    assert set(body["properties"]) | {"control_weight", "preset_edge_threshold"} <= set(shown)
    tab.resize(390, 800)  # a phone
    assert tab.value("document.documentElement.scrollWidth") <= 390
