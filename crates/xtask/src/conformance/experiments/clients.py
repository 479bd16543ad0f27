"""Clients of PyPI against a running tidegate: what they find must be what `/v1/decide` says.

Usage: clients.py BASE CLIENT_KEY TOKEN
"""

import json
import sys
import time
import urllib.request

from growthbook import GrowthBook
from growthbook.plugins.growthbook_tracking import GrowthBookTrackingPlugin
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

BASE, KEY, TOKEN = sys.argv[1:]
UNITS = [f"unit-{number}" for number in range(40)] + ["josé", "用户42"]
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    # Types count: a float is no integer, and a truth value is neither.
    if json.dumps(found) != json.dumps(expected):
        sys.exit(f"{what}: found {found!r}, expected {expected!r}")


def ask(path, body=None, token=KEY):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data)
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def decide(key, **question):
    return ask("/v1/decide", {"experiments": [key], **question})["decisions"][0]


def openfeature():
    headers = {"X-API-Key": KEY}
    api.set_provider(OFREPProvider(BASE, headers_factory=lambda: headers))
    client = api.get_client()
    kinds = [
        ("truth", client.get_boolean_details, None),
        ("text", client.get_string_details, "default"),
        ("whole", client.get_integer_details, -1),
        ("real", client.get_float_details, -1.5),
        ("thing", client.get_object_details, {"default": True}),
    ]
    for unit in UNITS:
        for key, resolve, default in kinds:
            details = resolve(key, default, EvaluationContext(unit, {"plan": "pro"}))
            expected = decide(key, unit=unit, attributes={"plan": "pro"})
            check(f"ofrep {key} {unit}", details.value, expected["value"])
            check(f"ofrep variant {key} {unit}", details.variant, expected["variant"])
            check(f"ofrep reason {key} {unit}", str(details.reason), "SPLIT")
    outside = client.get_string_details("colour", "default", EvaluationContext("u", {}))
    check("who does not take part has the default", outside.value, "default")
    for key, context, code in [
        ("nothing", EvaluationContext("u"), ErrorCode.FLAG_NOT_FOUND),
        ("text", EvaluationContext(), ErrorCode.TARGETING_KEY_MISSING),
        ("text", EvaluationContext("x" * 2_000), ErrorCode.INVALID_CONTEXT),
        ("whole", EvaluationContext("u"), ErrorCode.TYPE_MISMATCH),
    ]:
        details = client.get_string_details(key, "default", context)
        check(f"ofrep error {key}", [details.value, details.error_code], ["default", code])


def growthbook(remote):
    plugin = GrowthBookTrackingPlugin(ingestor_host=BASE, track_feature_evaluated=False)
    before = ask("/v1/status")["received"]
    for number, unit in enumerate(UNITS):
        attributes = {"id": unit, "plan": "pro" if number % 2 else "free"}
        client = GrowthBook(
            api_host=BASE, client_key=KEY, attributes=attributes, remote_eval=remote,
            plugins=[plugin],
        )
        client.load_features()
        expected = decide("colour", user=unit, attributes=attributes)
        found = client.get_feature_value("colour", None)
        check(f"growthbook colour {unit} remote={remote}", found, expected["value"])
        if remote:
            expected = decide("text", user=unit, attributes={**attributes, "uid": unit})
            client.set_attributes({**attributes, "uid": unit})
            client.load_features()
            found = client.get_feature_value("text", None)
            check(f"growthbook text {unit}", found, expected["value"])
        client.log_event("purchase", {"value": 3.5})
        client.destroy()
    plugin.cleanup()
    exposed = len(UNITS) // 2 + (len(UNITS) if remote else 0)
    events = len(UNITS)
    deadline = time.monotonic() + 20
    while True:
        now = ask("/v1/status")["received"]
        found = [now[kind] - before[kind] for kind in ("exposures", "events")]
        if found == [exposed, events] or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    check(f"growthbook tracking remote={remote}", found, [exposed, events])


openfeature()
growthbook(remote=False)
growthbook(remote=True)
print(f"PyPI: {checks} checks")
