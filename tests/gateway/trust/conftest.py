"""Gateways in front of an upstream that keeps every byte."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from portal.gateway.ir import Target, Upstream
from tests.gateway.conftest import api, world
from tests.gateway.envoy import Gateway
from tests.gateway.trust.wire import Recorder, recording


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as server:
        yield server


@pytest.fixture(scope="module")
def narrow(recorder: Recorder) -> Iterator[Gateway]:
    """Subscribed to /orders/v1 and to no other; what lies beside has an upstream that nothing may reach."""
    orders = api(1, recorder.port, path="/orders/v1")
    private = api(2, path="/private/v1", upstream=Upstream((Target("private.internal", recorder.port),)))
    hosted = api(3, path=None, host="private.localhost", upstream=private.upstream)
    everything = world(orders, private, hosted)
    mine = [row for row in everything.subscriptions if row.api_id == orders.id]
    gateway = Gateway.new()
    try:
        gateway.publish(replace(everything, subscriptions=mine))
        yield gateway
    finally:
        gateway.stop()
