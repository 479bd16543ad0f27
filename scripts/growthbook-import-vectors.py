#!/usr/bin/env python3
"""Writes crates/config/tests/experiments/import/growthbook-told.json: features, and which variation
GrowthBook's Python SDK gives to some users.

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install growthbook==4.0.0
    /tmp/vectors/bin/python scripts/growthbook-import-vectors.py [USERS]
"""

import json
import logging
import pathlib
import sys

from growthbook import GrowthBook

OUT = pathlib.Path(__file__).parent.parent / "crates/config/tests/experiments/import/growthbook-told.json"
logging.disable(logging.CRITICAL)
TWO = {"variations": [0, 1], "hashVersion": 2}
RULES = {
    "gap": [{"variations": [0, 1, 2], "weights": [0.33, 0.33, 0.33], "hashVersion": 2}],
    "more": [{"variations": [0, 1], "weights": [0.5, 0.51], "coverage": 0.9, "hashVersion": 2}],
    "thirds": [{"variations": [0, 1, 2], "weights": [0.3333, 0.3333, 0.3334], "hashVersion": 2}],
    "long": [{"variations": [0, 1, 2], "weights": [0.333333333, 0.333333333, 0.333333334], "hashVersion": 2}],
    "covered": [{"variations": [0, 1], "weights": [0.1, 0.9], "coverage": 0.35, "hashVersion": 1}],
    "ranges": [{**TWO, "weights": [0.5, 0.5], "ranges": [[0, 0.2], [0.5, 0.9]]}],
    "namespace": [{**TWO, "namespace": ["nsp", 0, 0.5]}],
    "filter": [{**TWO, "filters": [{"seed": "nsp", "ranges": [[0.5, 1]]}]}],
    "filter-of-one": [{**TWO, "filters": [{"seed": "nsp", "hashVersion": 1, "ranges": [[0.2000000001, 0.70000001]]}]}],
    "named": [{**TWO, "hashAttribute": "company",
               "filters": [{"seed": "c", "attribute": "company", "ranges": [[0, 0.5]]}]}],
    "other-id": [{**TWO, "hashAttribute": "company", "filters": [{"seed": "c", "ranges": [[0, 0.5]]}]}],
    "not-in-group": [{**TWO, "condition": {"id": {"$notInGroup": "testers"}}}],
    "in-group": [{**TWO, "condition": {"$or": [{"id": {"$inGroup": "testers"}}, {"country": "DE"}]}}],
    "no-group": [{**TWO, "condition": {"id": {"$inGroup": "unknown"}}}],
    "forced": [{"force": 5, "condition": {"country": "US"}}, TWO],
    "forced-twice": [{"force": 5, "condition": {"country": "US"}}, {"force": 5, "condition": {"id": {"$inGroup": "testers"}}},
                     {**TWO, "condition": {"beta": True}}],
    "rolled-out": [{"force": 5, "coverage": 0.2, "hashAttribute": "id"}, TWO],
    "second": [{**TWO, "key": "first"}, {**TWO, "key": "second"}],
}
GROUPS = {"testers": ["u1", "u2", "u7"]}


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    features = {key: {"defaultValue": 9, "rules": [{"key": key, **rule} if "variations" in rule else rule for rule in rules]}
                for key, rules in RULES.items()}
    users = []
    for number in range(count):
        attributes = {"id": f"u{number}", "company": f"c{number % 41}", "country": ["US", "DE", "FR"][number % 3],
                      "beta": number % 2 == 0}
        sdk = GrowthBook(attributes=attributes, features=features, savedGroups=GROUPS)
        told = {}
        for key in features:
            found = sdk.eval_feature(key)
            result = found.experimentResult
            if result is not None and result.inExperiment:
                told[found.experiment.key] = str(result.variationId)
        users.append({"attributes": attributes, "told": told})
    text = json.dumps({"payload": {"features": features, "savedGroups": GROUPS}}, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(user) for user in users)
    OUT.write_text(f'{text},\n "users": [\n  {rows}\n ]\n}}\n', encoding="utf-8")


main()
