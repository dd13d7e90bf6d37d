import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.gateway.routes import route_name
from portal.traffic.line import FIELDS
from portal.traffic.parse import Misread, ParsedCall, parse
from portal.traffic.reasons import OPERATION_LIMITED, REASONS
from tests.gateway.conftest import api
from tests.traffic.lines import START, Mix, consumer_id, key_id, line, request_id


class TestParse:
    def test_fields_of_an_ordinary_call(self):
        call = parse(
            line(
                r="12|3|h|10|/orders/v1|x-api-key", c=consumer_id(4), s="40", k=key_id(4), pl="2", bi=10, cid="mine",
                tp="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
        )  # fmt: skip

        assert call == ParsedCall(
            at=START,
            request_id=bytes.fromhex(request_id(START, 1).replace("-", "")),
            api_id=12,
            release=3,
            mount="/orders/v1",
            consumer=consumer_id(4),
            subscription_id=40,
            key=key_id(4),
            plan_id=2,
            method="GET",
            host="api.example.com",
            path="/orders/v1/orders",
            status=200,
            reason="ok",
            flags=None,
            details=None,
            bytes_in=10,
            bytes_out=512,
            total_us=12_000,
            upstream_us=11_000,
            address="192.0.2.7",
            user_agent="curl/8.5.0",
            target="10.1.2.3:8080",
            attempts=1,
            trace_id=bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
            client_request_id="mine",
        )

    @pytest.mark.parametrize(
        ("scope", "details", "reason", "told"),
        [
            ("operation", "local_rate_limited", "rate_limited", OPERATION_LIMITED),
            ("api", "local_rate_limited", "api_limit", "local_rate_limited"),
            (None, "local_rate_limited", "rate_limited", "local_rate_limited"),
            # The upstream said so, of limits of its own.
            ("operation", "via_upstream", "upstream_status", None),
        ],
    )
    def test_whose_limit_a_call_met(self, scope, details, reason, told):
        flags = "RL" if details == "local_rate_limited" else None
        call = parse(line(sc=scope, d=details, f=flags, st=429))

        assert (call.reason, call.details) == (reason, told)

    def test_call_that_envoy_refused_before_its_filters(self):
        call = parse(line(**dict.fromkeys(("id", "m", "h", "p", "r", "us", "up", "n"))).replace(b"200", b"400"))

        assert (call.api_id, call.request_id, call.path, call.status) == (None, None, None, 400)

    def test_who_called_is_not_believed_where_no_route_was_found(self):
        # Envoy can refuse before the filter that takes off such headers has run.
        call = parse(line(r=None, st=400, d="path_normalization_failed", c=consumer_id(1), s="1", k=key_id(1), pl="1"))

        assert (call.consumer, call.subscription_id, call.key, call.plan_id) == (None, None, None, None)

    def test_long_texts_are_cut(self):
        call = parse(line(p="/" + "ä" * 5_000, ua="u" * 5_000, d="d" * 999, h="h" * 999, cid="c" * 999, m="M" * 99))

        lengths = [len(text) for text in (call.path, call.user_agent, call.details, call.host, call.client_request_id)]
        assert lengths == [2_000, 300, 200, 255, 100]
        assert len(call.method) == 20

    @pytest.mark.parametrize(
        "text", ["not an id", "01a0c450-6c00-4000-81ea-bb7e56716086", request_id(START + 10**12, 1), "x" * 36, "7" * 36]
    )
    def test_request_id_that_is_none_of_this_time_is_left_out(self, text):
        assert parse(line(id=text)).request_id is None

    @pytest.mark.parametrize(
        "fields", [{"key_place": "query", "key_name": "key"}, {"key_place": "bearer"}, {"paused": True}]
    )
    @pytest.mark.parametrize("mount", ["/orders/v1", ""])
    def test_route_names_of_the_gateway_are_read(self, mount, fields):
        call = parse(line(r=route_name(api(7, release=3, **fields), mount)))

        assert (call.api_id, call.release, call.mount) == (7, 3, mount)

    @pytest.mark.parametrize("route", ["_portico", "x|1", "1", "|", "1|x", ""])
    def test_routes_of_the_gateway_itself_belong_to_no_api(self, route):
        assert parse(line(r=route)).api_id is None

    def test_any_byte_of_a_header_arrives(self):
        # This is how Envoy writes a header with the bytes FF and 22.
        assert parse(line(ua="X").replace(b"X", rb"\u00ff\"")).user_agent == 'ÿ"'

    @pytest.mark.parametrize(
        "broken",
        [
            b"",
            b"\n",
            b"{}",
            b"[]",
            b"null",
            b"12",
            line()[:-20],
            line()[30:],
            line().rstrip() + line(),
            line()[:100] + line(),
            line(t=None),
            line(t="soon"),
            line(t="-5"),
            line(t="9" * 30),
            line(st="teapot"),
            line(st=-1),
            line(bi="many"),
            line(du="long"),
            line(up=5),
            line(s="x", r="1|1"),
            line(ua="a\0b"),
            line(ua="X").replace(b"X", b"\xff"),
            line(ua="X").replace(b"X", rb"\ud800"),
        ],
    )
    def test_what_is_not_one_whole_line_is_misread(self, broken):
        with pytest.raises(Misread):
            parse(broken)

    @given(st.binary(max_size=300))
    def test_no_bytes_raise_anything_else(self, noise):
        with pytest.raises(Misread):
            parse(noise)

    @given(st.dictionaries(st.sampled_from(sorted(FIELDS)), st.none() | st.integers() | st.text() | st.booleans()))
    def test_no_values_raise_anything_else(self, fields):
        whole = orjson.loads(line()) | {name: value for name, value in fields.items() if _fits(value)}
        try:
            call = parse(orjson.dumps(whole))
        except Misread:
            return
        assert isinstance(call.at, int)

    @given(st.data())
    def test_torn_lines_of_the_mix_are_misread(self, data):
        whole = next(Mix(seed=data.draw(st.integers(0, 50))).lines(1))
        cut = data.draw(st.integers(1, len(whole) - 3))

        for torn in (whole[:cut], whole[:cut] + whole):
            with pytest.raises(Misread):
                parse(torn)


class TestReason:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({}, "ok"),
            ({"st": 304}, "ok"),
            ({"st": 404}, "upstream_status"),
            ({"st": 503}, "upstream_status"),
            ({"st": 503, "f": "URX"}, "upstream_status"),
            ({"st": 429}, "upstream_status"),
            ({"st": 401, "rs": "key_missing", "d": "lua_response"}, "key_missing"),
            # What a client has sent under the header's name, in a call that no filter has seen.
            ({"st": 400, "rs": "forged", "d": "path_normalization_failed", "up": None}, "bad_path"),
            ({"st": 200, "rs": "forged"}, "ok"),
            ({"st": 404, "f": "NR", "d": "route_not_found"}, "no_such_api"),
            ({"st": 502, "f": "UF,URX", "d": "upstream_reset_before_response_started{x}"}, "upstream_unreachable"),
            ({"st": 503, "f": "UH", "d": "no_healthy_upstream"}, "upstream_unreachable"),
            ({"st": 502, "f": "UC", "d": "upstream_reset_before_response_started{y}"}, "upstream_reset"),
            ({"st": 200, "f": "UC"}, "upstream_reset"),
            ({"st": 504, "f": "UT", "d": "upstream_per_try_timeout"}, "upstream_timeout"),
            ({"st": 429, "f": "RL", "d": "local_rate_limited"}, "rate_limited"),
            ({"st": 429, "d": "local_rate_limited"}, "rate_limited"),
            ({"st": 413, "d": "request_payload_too_large"}, "too_large"),
            ({"st": 400, "d": "path_normalization_failed"}, "bad_path"),
            ({"st": 400, "d": "http1.codec_error", "f": "DPE"}, "bad_request"),
            ({"st": 400, "d": "http1.codec_error"}, "bad_request"),
            ({"st": 400, "d": "missing_path_rejected"}, "bad_request"),
            ({"st": 431, "d": "http1.headers_too_large"}, "headers_too_large"),
            ({"st": 0, "f": "DC", "d": "downstream_remote_disconnect"}, "client_closed"),
            ({"st": 200, "f": "DC"}, "client_closed"),
            ({"st": 0, "d": None}, "client_closed"),
            ({"st": 500, "f": "FI", "d": "fault_filter_abort", "up": None}, "gateway_error"),
            ({"st": 500, "d": "internal", "up": None}, "gateway_error"),
            ({"st": 200, "d": "direct_response", "up": None}, "ok"),
            ({"st": 200, "d": "cors_response", "up": None}, "preflight"),
            ({"st": 200, "d": "cors_response", "up": None, "f": "DC"}, "preflight"),
            ({"st": 403, "d": "rbac_access_denied_matched_policy[address]", "up": None}, "address_not_allowed"),
        ],
    )
    def test_is_told_from_the_line(self, fields, reason):
        assert parse(line(**fields)).reason == reason
        assert reason in REASONS

    @pytest.mark.parametrize("flags", [None, "-", ""])
    def test_no_flags_are_no_flags(self, flags):
        call = parse(line(f=flags))

        assert (call.reason, call.flags) == ("ok", None)


def _fits(value):
    return not isinstance(value, int) or abs(value) < 2**63
