"""Which pages and which networks a document lets call."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.errors import Invalid
from portal.registry import read_document
from portal.registry.access import EXPOSED_HEADERS, METHODS, Addresses, Cors
from tests.registry.test_document import PLAIN


def cors(*origins: str, **more: object) -> Cors:
    found = read_document(PLAIN | {"cors": {"origins": origins, **more}}, typed=True).cors
    assert found is not None
    return found


def wrong(**values: object) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read_document(PLAIN | values, typed=True)
    return refused.value.fields


class TestOrigins:
    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            ("https://app.example.com", "https://app.example.com"),
            (" HTTPS://App.Example.com:443 ", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://localhost:80", "https://localhost:80"),
            ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://*.example.com", "https://*.example.com"),
            ("https://*.example.com:8443", "https://*.example.com:8443"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("*", "*"),
        ],
    )
    def test_are_kept_as_browsers_write_them(self, typed, kept):
        assert cors(typed).origins == (kept,)

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("app.example.com", "is no origin. Write scheme, host and perhaps a port"),
            ("https://app.example.com/", "An origin ends before the path. Write https://app.example.com."),
            ("https://app.example.com/a?b", "Write https://app.example.com."),
            ("https://app.example.com#a", "Write https://app.example.com."),
            ("https://user:word@app.example.com", "names no host, or a port that there is not"),
            ("https://", "names no host"),
            ("https://app.example.com:0", "a port that there is not"),
            ("https://app.example.com:70000", "a port that there is not"),
            ("https://[::zz]", "names no host"),
            ("https://a b.example", "names no host"),
            ("null", "which anybody can make"),
            ("https://*", "A star stands alone"),
            ("https://app.*.com", "A star stands alone"),
            ("https://*.*.com", "A star stands alone"),
            ("*.example.com", "is no origin"),
            ("https://*.com", "is too many sites"),
            ("https://*.0.0.1", "is too many sites"),
        ],
    )
    def test_others_are_refused_with_what_to_write(self, typed, said):
        found = wrong(cors={"origins": ["https://fine.example", typed]})

        assert list(found) == ["cors.origins.1"]
        assert said in found["cors.origins.1"]

    def test_one_is_needed_and_doubles_go(self):
        assert list(wrong(cors={"origins": []})) == ["cors.origins"]
        assert cors("https://a.example", "https://A.example:443").origins == ("https://a.example",)

    @given(st.text(max_size=60))
    def test_whatever_is_typed_is_kept_in_one_form_or_refused_with_a_sentence(self, text):
        try:
            (kept,) = cors(text).origins
        except Invalid as refused:
            sentence = refused.fields["cors.origins.0"]
        else:
            sentence = "Kept."
            assert kept == "*" or kept.isascii()
            assert cors(kept).origins == (kept,)
        assert sentence.endswith(".")


class TestCors:
    def test_every_page_with_everybodys_cookies_is_refused(self):
        assert "cookies of whoever looks at it" in wrong(cors={"origins": ["*"], "credentials": True})["cors"]
        assert cors("https://a.example", credentials=True).credentials

    @pytest.mark.parametrize(("field", "value"), [("methods", "GET POST"), ("methods", "*"), ("headers", "*")])
    def test_methods_and_headers_are_single_words(self, field, value):
        assert list(wrong(cors={"origins": ["*"], field: [value]})) == [f"cors.{field}.0"]

    def test_what_no_browser_sends_is_no_use(self):
        assert (
            "No browser lets a page send TRACE"
            in wrong(cors={"origins": ["*"], "methods": ["trace"]})["cors.methods.0"]
        )

    def test_a_line_break_reaches_no_header(self):
        assert list(wrong(cors={"origins": ["*"], "headers": ["X-A\r\nSet-Cookie: a"]})) == ["cors.headers.0"]

    def test_the_usual_needs_no_words(self):
        usual = cors("*")

        assert usual.all_methods() == METHODS
        assert usual.all_headers("X-API-Key") == ("X-API-Key", "Content-Type", "Authorization")
        assert usual.all_headers(None) == ("Content-Type", "Authorization")
        assert usual.all_exposed_headers() == EXPOSED_HEADERS

    def test_more_comes_beside_the_usual(self):
        more = cors("*", methods=["get"], headers=["X-Trace", "content-type"], exposed_headers=["ETag", "retry-after"])

        assert more.all_methods() == ("GET",)
        assert more.all_headers("authorization") == ("authorization", "Content-Type", "X-Trace")
        assert more.all_exposed_headers() == (*EXPOSED_HEADERS, "ETag")

    def test_a_document_without_it_is_stored_as_before(self):
        assert not {"cors", "addresses"} & read_document(PLAIN).as_json().keys()

    def test_a_document_with_it_comes_back_equal(self):
        document = read_document(PLAIN | {"cors": {"origins": ["*"]}, "addresses": {"deny": ["10.0.0.0/8"]}})

        assert read_document(document.as_json()) == document


class TestAddresses:
    def test_are_kept_in_one_form(self):
        lists = read_document(PLAIN | {"addresses": {"allow": ["203.0.113.7", "2001:DB8::/32"]}}, typed=True).addresses

        assert lists == Addresses(allow=("203.0.113.7/32", "2001:db8::/32"))

    def test_host_bits_are_refused_with_the_network_that_was_meant(self):
        found = wrong(addresses={"allow": ["10.0.0.0/8"], "deny": ["10.1.2.3/16"]})

        assert list(found) == ["addresses.deny.0"]
        assert "Write 10.1.0.0/16 for all of it, or 10.1.2.3 for this address alone." in found["addresses.deny.0"]

    def test_empty_lists_are_none(self):
        """Or a file with empty lists would differ from what is stored, each time that it is applied."""
        document = read_document(PLAIN | {"addresses": {"allow": [], "deny": []}})

        assert document == read_document(PLAIN)
        assert "addresses" not in document.as_json()

    @pytest.mark.parametrize(
        "lists",
        [
            {"allow": ["10.1.0.0/16"], "deny": ["10.0.0.0/8"]},
            {"allow": ["10.0.0.0/8"], "deny": ["10.128.0.0/9", "10.0.0.0/9"]},
            {"allow": ["10.0.0.0/8", "2001:db8::1"], "deny": ["0.0.0.0/0", "2001:db8::/32"]},
            {"deny": ["0.0.0.0/0", "::/0"]},
        ],
    )
    def test_lists_that_let_nobody_in_are_refused(self, lists):
        assert "nobody could call" in wrong(addresses=lists)["addresses"]

    @pytest.mark.parametrize(
        "lists", [{"deny": ["0.0.0.0/0"]}, {"allow": ["10.0.0.0/8"], "deny": ["10.0.0.0/9", "::/0"]}]
    )
    def test_lists_that_let_some_in_are_fine(self, lists):
        assert read_document(PLAIN | {"addresses": lists}, typed=True).addresses is not None

    @pytest.mark.parametrize(
        ("address", "is_let_in"),
        [
            ("10.1.2.3", True),
            ("::ffff:10.1.2.3", True),
            ("10.9.0.1", False),
            ("11.0.0.1", False),
            ("2001:db8::9", True),
            ("2001:db9::9", False),
            ("unknown", False),
        ],
    )
    def test_deny_wins_and_all_others_are_out(self, address, is_let_in):
        lists = Addresses(allow=("10.0.0.0/8", "2001:db8::/32"), deny=("10.9.0.0/16",))

        assert lists.lets_in(address) is is_let_in

    @given(st.ip_addresses(v=4), st.integers(0, 32), st.integers(0, 32))
    def test_somebody_is_let_in_by_whatever_is_accepted(self, address, allow, deny):
        inner = ipaddress.ip_network((address, allow), strict=False)
        outer = ipaddress.ip_network((address, deny), strict=False)
        try:
            lists = Addresses(allow=(str(inner),), deny=(str(outer),))
        except ValueError:
            assert inner.subnet_of(outer)
        else:
            assert any(lists.lets_in(str(each)) for each in (inner[0], inner[-1]))
