from typing import Any

import pytest

from portal.openapi.findings import Findings
from portal.openapi.servers import servers_of


def addresses(*servers: Any) -> tuple[str, ...]:
    return servers_of({"servers": list(servers)}, Findings())


def warned(tree: dict[str, Any]) -> dict[str, str]:
    findings = Findings()
    servers_of(tree, findings)
    return {warning.pointer: warning.sentence for warning in findings.warnings()}


class TestServersOf:
    def test_each_address_stands_once_in_the_order_of_the_document(self) -> None:
        urls = ("https://b.example.com", "https://a.example.com/v1", " https://b.example.com ")

        assert addresses(*({"url": url} for url in urls)) == ("https://b.example.com", "https://a.example.com/v1")

    def test_variables_have_their_defaults(self) -> None:
        variables = {"tenant": {"default": "demo"}, "port": {"enum": [8443, 443]}, "base": {"default": ""}}
        server = {"url": "https://{tenant}.example.com:{port}/v2{base}", "variables": variables}

        assert addresses(server) == ("https://demo.example.com:8443/v2",)

    def test_a_variable_without_a_default_stays_with_a_warning(self) -> None:
        tree = {"servers": [{"url": "https://{tenant}.example.com"}]}

        assert servers_of(tree, Findings()) == ("https://{tenant}.example.com",)
        assert "“tenant” has no default" in warned(tree)["/servers/0"]

    def test_a_relative_one_stays_relative_with_a_warning(self) -> None:
        assert addresses({"url": "/v1"}) == ("/v1",)
        assert "“/v1” is relative" in warned({"servers": [{"url": "/v1"}]})["/servers/0"]
        assert warned({"servers": [{"url": "/v1"}, {"url": "https://example.com"}]}) == {}

    @pytest.mark.parametrize("servers", [None, [], {}, [None], [{}], [{"url": ""}], "https://example.com"])
    def test_none_is_warned_of(self, servers: Any) -> None:
        assert "does not say where" in warned({"servers": servers})["/servers"]

    def test_a_host_without_a_scheme_is_no_path(self) -> None:
        assert addresses({"url": "api.example.com/v1"}, {"url": "//example.com"}, "http://example.com") == (
            "https://api.example.com/v1",
            "https://example.com",
            "http://example.com",
        )

    def test_those_of_the_first_path_serve_where_the_document_names_none(self) -> None:
        paths = {"/a": {}, "/b": {"servers": [{"url": "https://b.example.com"}]}}

        assert servers_of({"paths": paths}, Findings()) == ("https://b.example.com",)
