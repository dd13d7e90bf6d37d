import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from portal.registry import read_document

PLAIN = {"name": "Orders", "path": "/orders/v1", "upstream": {"targets": [{"url": "http://orders.example"}]}}


def wrong(**values: object) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read_document(PLAIN | values, typed=True)
    return refused.value.fields


def upstream(*urls: str, **values: object) -> dict[str, object]:
    return {"targets": [{"url": url} for url in urls], **values}


class TestUpstream:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("http://orders.example/", "http://orders.example"),
            ("HTTP://Orders.Example:80/api/", "http://orders.example/api"),
            ("https://orders.example:443", "https://orders.example"),
            ("https://orders.example:8443/a", "https://orders.example:8443/a"),
            ("http://[2001:DB8::1]:9000", "http://[2001:db8::1]:9000"),
            ("http://bücher.example", "http://xn--bcher-kva.example"),
        ],
    )
    def test_addresses_have_one_form(self, written, kept):
        document = read_document(PLAIN | {"upstream": upstream(written)})

        assert document.upstream.targets[0].url == kept

    @pytest.mark.parametrize(
        "url",
        [
            "orders.example",
            "ftp://orders.example",
            "http://",
            "http://user:word@orders.example",
            "http://orders.example/?a=b",
            "http://orders.example/#a",
            "http://orders.example:99999",
            "http://orders.example:0",
            "http://[::1",
            "http://or ders.example",
            "http://orders.example/a b",
            "http://-.example",
            "javascript:alert(1)",
        ],
    )
    def test_what_is_no_address_is_refused_beside_its_field(self, url):
        assert list(wrong(upstream=upstream(url))) == ["upstream.targets.0.url"]

    @pytest.mark.parametrize(
        ("url", "what"),
        [
            ("http://169.254.169.254/latest", "metadata service"),
            ("http://169.254.1.1", "link-local"),
            ("http://[fe80::1]:80", "link-local"),
            ("http://[::ffff:169.254.1.1]", "link-local"),
            ("https://224.0.0.1", "multicast"),
            ("http://0.0.0.0", "no address of a machine"),
        ],
    )
    def test_what_no_installation_may_reach_is_refused_when_it_is_typed(self, url, what):
        assert what in wrong(upstream=upstream(url))["upstream.targets.0.url"]
        assert read_document(PLAIN | {"upstream": upstream(url)}), "what is stored still opens in the editor"

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://10.0.0.1", "http://169.254.example"])
    def test_what_settings_and_name_servers_decide_is_not_refused_here(self, url):
        assert read_document(PLAIN | {"upstream": upstream(url)}, typed=True)

    def test_targets_share_scheme_and_path(self):
        assert "same scheme" in wrong(upstream=upstream("http://a.example/x", "http://b.example/y"))["upstream"]
        assert "same scheme" in wrong(upstream=upstream("http://a.example", "https://b.example"))["upstream"]

    def test_a_target_stands_once(self):
        assert "twice" in wrong(upstream=upstream("http://a.example", "http://a.example:80/"))["upstream"]

    def test_there_is_at_least_one_target(self):
        assert wrong(upstream={"targets": []}) == {"upstream.targets": "At least one is needed."}

    def test_limits_of_numbers_are_said(self):
        assert wrong(upstream=upstream("http://a.example", retries=9)) == {
            "upstream.retries": "The greatest value is 5."
        }


class TestMounts:
    def test_path_and_host_are_two_mounts(self):
        document = read_document(PLAIN | {"host": "Orders.Example."})

        assert document.mounts() == [("*", "/orders/v1"), ("orders.example", "/")]

    def test_one_of_them_is_needed(self):
        assert wrong(path=None) == {"path": "Give the API a path, a host name, or both; otherwise nobody can call it."}

    @pytest.mark.parametrize(
        "path",
        ["orders", "/", "", "/a//b", "/a/../b", "/.", "/a b", "/a%2Fb", "/a?b", "/_portico", "/_portico/x", "/ä"],
    )
    def test_paths_that_the_gateway_could_not_serve_are_refused(self, path):
        assert list(wrong(path=path)) == ["path"]

    @pytest.mark.parametrize(
        "host", ["http://a.example", "a.example/x", "a.example:80", "a_b.example", "*", "-a.example"]
    )
    def test_hosts_are_names_alone(self, host):
        assert list(wrong(host=host)) == ["host"]


class TestKeyPlace:
    @pytest.mark.parametrize(
        "name", ["Host", "Content-Length", "X-Forwarded-For", "X-Envoy-Foo", "X-Consumer-Id", "X-Request-Id", "a b", ""]
    )
    def test_headers_that_mean_something_else_are_refused(self, name):
        assert list(wrong(key={"place": "header", "name": name})) == ["key"]

    def test_a_stored_document_that_names_one_still_opens(self):
        document = read_document(PLAIN | {"key": {"place": "header", "name": "X_Api_Key"}})

        assert document.key.name == "X_Api_Key"

    def test_a_query_parameter_is_plain(self):
        assert list(wrong(key={"place": "query", "name": "a&b"})) == ["key"]


class TestDocument:
    def test_names_in_every_alphabet_are_kept(self):
        for name in ("Заказы", "注文", "طلبات", "Ordres été", "🛒"):
            assert read_document(PLAIN | {"name": f"  {name}  "}).name == name

    def test_a_blank_name_is_refused(self):
        assert wrong(name=" \t ") == {"name": "Give it a name."}

    def test_all_wrong_fields_are_said_at_once(self):
        assert set(wrong(name="", path="x", upstream=upstream("x"))) == {"name", "path", "upstream.targets.0.url"}

    def test_a_field_that_does_not_exist_is_refused(self):
        assert wrong(colour="red") == {"colour": "This field does not exist."}

    def test_json_and_back_is_the_same(self):
        document = read_document(PLAIN | {"host": "orders.example", "key": {"place": "query", "name": "k"}})

        assert read_document(document.as_json()) == document

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
        )
    )
    def test_nonsense_is_refused_in_sentences(self, nonsense):
        said = wrong(upstream=nonsense)

        assert all(where.startswith("upstream") and words.strip(".") for where, words in said.items())
