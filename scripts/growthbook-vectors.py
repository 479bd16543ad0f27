#!/usr/bin/env python3
"""Writes crates/experiment/tests/vectors/growthbook_*: what GrowthBook's SDKs say about generated
conditions and features.

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install growthbook
    npm install --prefix /tmp/vectors @growthbook/growthbook@1.8.0
    NODE_PATH=/tmp/vectors/node_modules /tmp/vectors/bin/python scripts/growthbook-vectors.py
"""

import copy
import csv
import json
import logging
import pathlib
import random
import subprocess
from importlib.metadata import version

from growthbook import GrowthBook, InMemoryStickyBucketService
from growthbook.core import evalCondition

OUT = pathlib.Path(__file__).parent.parent / "crates/experiment/tests/vectors"
COMMAND = "python scripts/growthbook-vectors.py"
SOURCE = f"npm @growthbook/growthbook 1.8.0 and PyPI growthbook {version('growthbook')}"
LIB = "require(require.resolve('@growthbook/growthbook').replace(/dist.*/, 'dist/cjs/"
RANDOM = random.Random(20)
logging.disable(logging.CRITICAL)


def node(program, data):
    program = "const input = JSON.parse(require('fs').readFileSync(0, 'utf8')); console.error = () => {};" + program
    done = subprocess.run(["node", "-e", program], input=json.dumps(data), text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def write(name, columns, rows):
    with open(OUT / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        file.write(f"# source: {SOURCE}\n# command: {COMMAND}\n# tolerance: exact\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


VALUES = [
    None, True, False, 0, 1, 2, -1.5, 10, 1e21, "", " ", "0", "1", "a", "A", "abc", "Größe", "9", "10",
    "true", "null", "1.2.3", "v1.2.3", "1.2.3-beta.2", "1.10.0+build", "2", [], ["a"], ["a", "B", 1], [1, 2],
    [None, 0], {"b": 1}, {"b": {"c": "x"}}, [{"b": 1}, {"b": 2}], {}, "😀", [[1]],
]
OPERANDS = VALUES + [["a", "b"], ["A", 1, None], ["10", 10, True], "^a", "[A-Z]+", "\\d+$", "string", "array", "number", "object", "boolean", 1.5]
OPERATORS = [
    "$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", "$ini", "$nini", "$exists", "$type", "$size",
    "$all", "$alli", "$regex", "$regexi", "$not", "$elemMatch", "$veq", "$vne", "$vgt", "$vgte", "$vlt", "$vlte",
    "$inGroup", "$notInGroup", "$unknown",
]
GROUPS = {
    "list": ["a", 1, "x"], "empty": [],
    "typed": {"type": "list", "attributeKey": "a", "values": ["a", 10]},
    "conditional": {"type": "condition", "condition": {"a": {"$gt": 0}}},
    "round": {"type": "condition", "condition": {"$savedGroup": {"id": "round"}}},
    "malformed": {"type": "list"},
}
WRITTEN = [
    {}, {"$or": []}, {"$nor": []}, {"$and": []}, {"$or": [{"a": 1}, {"a": "a"}]}, {"$nor": [{"a": 1}, {"a": "a"}]},
    {"$and": [{"a": {"$gt": 0}}, {"a": {"$lt": 5}}]}, {"$not": {"a": "a"}}, {"$not": {}}, {"a.b": 1}, {"a.b.c": "x"},
    {"a.0": "a"}, {"a.length": 2}, {"a.1.b": 2}, {"a": {"$gt": 0, "$lt": 5}}, {"a": {"$not": {"$in": ["a", "abc"]}}},
    {"a": {"$elemMatch": {"b": 2}}}, {"a": {"$elemMatch": {"$gt": 1}}}, {"a": {"$elemMatch": {"b": {"$exists": True}}}},
    {"a": {"$size": {"$gt": 1}}}, {"a": {"$all": [{"$regex": "^a"}]}}, {"a": {"$all": ["a", 1]}}, {"a": {"$alli": ["b", "A"]}},
    {"a": {"b": 1}}, {"a": [1, 2]}, {"a": []}, {"a": {"b": {"c": "x"}}}, {"missing": None}, {"missing": 0}, {"missing": ""},
    {"missing": "null"}, {"missing": False}, {"missing": {"$ne": "a"}}, {"missing": {"$nin": ["a"]}},
    {"missing": {"$exists": False}}, {"missing": {"$lt": 1}}, {"missing": {"$vlt": "1"}},
    {"$savedGroup": {"id": "typed"}}, {"$savedGroup": {"id": "typed", "attributeKey": "missing"}},
    {"$savedGroup": {"id": "conditional"}}, {"$savedGroup": {"id": "round"}}, {"$savedGroup": {"id": "list"}},
    {"$savedGroup": {"id": "none"}}, {"$savedGroup": None}, {"$not": {"$savedGroup": {"id": "conditional"}}},
    {"$or": [{"$and": [{"a": {"$type": "string"}}, {"a": {"$regex": "[a-z]"}}]}, {"$not": {"a": {"$gte": 0}}}]},
    {"a": {"$regex": "^(a|b)c?"}}, {"a": {"$regexi": "GR.SSE"}}, {"a": {"$regex": "\\."}},
]


def conditions():
    cases = [(condition, {"a": value}) for condition in WRITTEN for value in VALUES]
    for operator in OPERATORS:
        operands = OPERANDS
        if operator in ("$inGroup", "$notInGroup"):
            operands = list(GROUPS) + ["none", 5]
        if operator in ("$regex", "$regexi"):
            # Others throw, unless a text that looks the same was compiled before.
            operands = [operand for operand in OPERANDS if isinstance(operand, str)]
        if operator == "$elemMatch":
            operands = [{"b": 1}, {"$gt": 0}, {"$in": ["a", 1]}, {"$not": "a"}, {}]
        pairs = [(operand, value) for operand in operands for value in VALUES]
        pairs = RANDOM.sample(pairs, min(len(pairs), 110))
        cases += [({"a": {operator: operand}}, {"a": value}) for operand, value in pairs]
    pairs = RANDOM.sample([(o, v) for o in OPERANDS for v in VALUES], 300)
    cases += [({"a": operand}, {"a": value}) for operand, value in pairs]
    js = node(f"const {{ evalCondition }} = {LIB}mongrule.js'));" + """
      console.log(JSON.stringify(input.cases.map(([condition, attributes]) => {
        try { return evalCondition(attributes, condition, input.groups); } catch (e) { return null; }
      })));""", {"cases": cases, "groups": GROUPS})

    def python(condition, attributes):
        try:
            return evalCondition(attributes, condition, GROUPS)
        except Exception:
            return None

    rows = [
        (text(condition), text(attributes), text(answer), text(python(condition, attributes)))
        for (condition, attributes), answer in zip(cases, js)
    ]
    (OUT / "growthbook_groups.json").write_text(json.dumps(GROUPS, indent=1) + "\n")
    write("growthbook_conditions", ["condition", "attributes", "javascript", "python"], rows)


CONDITIONS = [
    {"country": "DE"}, {"plan": {"$in": ["pro", "team"]}}, {"age": {"$gte": 30}}, {"tags": {"$elemMatch": {"$eq": "beta"}}},
    {"version": {"$vgte": "2.0.0"}}, {"country": {"$not": {"$eq": "US"}}}, {"id": {"$inGroup": "testers"}}, {},
]


def maybe(share):
    return RANDOM.random() < share


def rule(index, others):
    out = {"id": f"r{index}"} if maybe(0.8) else {}
    if maybe(0.35):
        out["condition"] = RANDOM.choice(CONDITIONS)
    if maybe(0.15) and others:
        out["parentConditions"] = [{
            "id": RANDOM.choice(others + ["absent"]),
            "condition": RANDOM.choice([{"value": True}, {"value": {"$exists": True}}, {"value": "v1"}, {"value": {"$gt": 0}}, {}]),
            **({"gate": True} if maybe(0.4) else {}),
        }]
    if maybe(0.15):
        out["filters"] = [{"seed": "ns", "ranges": [[0, 0.3], [0.5, 0.9]], **({"hashVersion": 1} if maybe(0.3) else {}),
                           **({"attribute": "device"} if maybe(0.3) else {})}]
    if maybe(0.5):
        out["hashVersion"] = RANDOM.choice([1, 2, 2, 3])
    if maybe(0.3):
        out["hashAttribute"] = RANDOM.choice(["id", "device", "company", "age"])
    if maybe(0.3):
        out["seed"] = RANDOM.choice(["s1", "größe", ""])
    if maybe(0.2):
        out["fallbackAttribute"] = "device"
    kind = RANDOM.random()
    if kind < 0.3:
        out["force"] = RANDOM.choice([True, False, None, "v1", 3, {"a": [1]}])
        if maybe(0.5):
            out["coverage"] = RANDOM.choice([0, 0.01, 0.25, 0.5, 0.9, 1])
        if maybe(0.2):
            out["range"] = RANDOM.choice([[0, 0.5], [0.2, 0.21], [0.5, 1]])
    elif kind < 0.95:
        count = RANDOM.choice([1, 2, 2, 2, 3, 3, 4])
        out["variations"] = RANDOM.choice([["v0", "v1", "v2", "v3"], [False, True, True, False], [0, 1, 2, 3], [None, {"x": 1}, "y", 1]])[:count]
        if maybe(0.7):
            out["key"] = f"exp-{index}"
        if maybe(0.5):
            out["coverage"] = RANDOM.choice([0, 0.1, 0.5, 0.75, 1, 1.5, -1])
        if maybe(0.5):
            out["weights"] = RANDOM.choice([[0.5, 0.5], [0.1, 0.9], [0.333, 0.333, 0.334], [0.1, 0.2, 0.7], [0.25, 0.25, 0.25, 0.25], [0.2, 0.2]])
        if maybe(0.2):
            out["ranges"] = [[0, 0.1], [0.1, 0.55], [0.6, 1.0], [0.55, 0.6]][:count]
        if maybe(0.2):
            out["namespace"] = RANDOM.choice([["ns1", 0, 0.4], ["ns1", 0.4, 1]])
        if maybe(0.6):
            out["meta"] = [{"key": f"k{i}", **({"name": f"name {i}"} if maybe(0.5) else {}), **({"passthrough": True} if maybe(0.1) else {})} for i in range(count)]
        if maybe(0.2):
            out["bucketVersion"] = RANDOM.choice([0, 1, 2])
        if maybe(0.15):
            out["minBucketVersion"] = RANDOM.choice([0, 1, 2])
        if maybe(0.1):
            out["disableStickyBucketing"] = True
        if maybe(0.3):
            out["phase"] = "0"
    return out


def feature(index, others):
    out = {"defaultValue": RANDOM.choice([False, True, "off", 0, None])} if maybe(0.9) else {}
    if maybe(0.95):
        out["rules"] = [rule(index * 10 + number, others) for number in range(RANDOM.choice([1, 1, 2, 3]))]
    return out


def user(index):
    attributes = {"id": RANDOM.choice([f"user-{index}", str(index), index, f"jos-{index}"])}
    if index % 7 == 3:
        del attributes["id"]
    if index % 11 == 5:
        attributes["id"] = ""
    if maybe(0.8):
        attributes["device"] = f"device-{index}"
    if maybe(0.7):
        attributes["country"] = RANDOM.choice(["DE", "US", "FR"])
    if maybe(0.7):
        attributes["plan"] = RANDOM.choice(["free", "pro", "team"])
    if maybe(0.7):
        attributes["age"] = RANDOM.choice([18, 30, 45.5])
    if maybe(0.5):
        attributes["tags"] = RANDOM.choice([[], ["beta"], ["alpha", "beta"]])
    if maybe(0.5):
        attributes["version"] = RANDOM.choice(["1.9.0", "2.0.0", "2.0.0-rc.1", "v3.1"])
    if maybe(0.4):
        attributes["company"] = f"company {index % 3}"
    out = {"attributes": attributes, "url": ""}
    if maybe(0.25):
        out["url"] = f"https://example.com/?a=b&exp-{RANDOM.randrange(0, 80) * 10}={RANDOM.choice(['1', '0', '7', 'x'])}#top"
    if maybe(0.25):
        out["forcedVariations"] = {f"exp-{RANDOM.randrange(0, 80) * 10}": RANDOM.choice([0, 1, 9]) for _ in range(20)}
    if maybe(0.5):
        docs = {}
        for name in ("id", "device"):
            if attributes.get(name):
                value = attributes[name] if isinstance(attributes[name], str) else json.dumps(attributes[name])
                docs[f"{name}||{value}"] = {"attributeName": name, "attributeValue": value, "assignments": {
                    f"exp-{RANDOM.randrange(0, 80) * 10}__{RANDOM.choice([0, 0, 1])}": f"k{RANDOM.choice([0, 1, 2])}" for _ in range(25)}}
        out["sticky"] = docs
    out["qaMode"] = index % 13 == 6
    return out


COLUMNS = ["value", "source", "rule", "experiment", "in", "hash used", "variation", "key", "attribute", "hashed", "bucket", "sticky", "exposures", "kept"]


def features():
    keys = [f"f{index}" for index in range(80)]
    payload = {"features": {key: feature(index, keys[:index]) for index, key in enumerate(keys)}, "savedGroups": {"testers": ["user-1", "user-4", 9]}}
    payload["features"]["circle-a"] = {"defaultValue": 1, "rules": [{"parentConditions": [{"id": "circle-b", "condition": {}}], "force": 2}]}
    payload["features"]["circle-b"] = {"defaultValue": 1, "rules": [{"parentConditions": [{"id": "circle-a", "condition": {}}], "force": 2}]}
    users = [user(index) for index in range(26)]
    keys = list(payload["features"]) + ["absent"]
    js = node(f"const {{ evalFeature }} = {LIB}core.js'));" + """
      const rows = [];
      for (const key of input.keys) for (const user of input.users) {
        let exposures = 0, kept = 0;
        const result = evalFeature(key, {
          global: { log() {}, features: input.payload.features, savedGroups: input.payload.savedGroups },
          user: { attributes: user.attributes, url: user.url, forcedVariations: user.forcedVariations, qaMode: user.qaMode,
            trackedExperiments: new Set(), trackingCallback() { exposures += 1; },
            stickyBucketAssignmentDocs: user.sticky && JSON.parse(JSON.stringify(user.sticky)),
            saveStickyBucketAssignmentDoc: user.sticky && (() => { kept += 1; }) },
          stack: { evaluatedFeatures: new Set(), id: '' },
        });
        const r = result.experimentResult;
        rows.push([result.value, result.source, result.ruleId, result.experiment ? result.experiment.key : null].concat(
          r ? [r.inExperiment, r.hashUsed, r.variationId, r.key, r.hashAttribute, r.hashValue, r.bucket ?? null, r.stickyBucketUsed] : Array(8).fill(null),
          [exposures, kept]));
      }
      console.log(JSON.stringify(rows));""", {"payload": payload, "users": users, "keys": keys})

    def python(key, user):
        seen = []
        service = None
        if "sticky" in user:
            service = InMemoryStickyBucketService()
            for doc in copy.deepcopy(user["sticky"]).values():
                service.save_assignments(doc)
        try:
            client = GrowthBook(
                attributes=copy.deepcopy(user["attributes"]), url=user["url"], features=copy.deepcopy(payload["features"]),
                savedGroups=payload["savedGroups"], forced_variations=user.get("forcedVariations", {}), qa_mode=user["qaMode"],
                sticky_bucket_service=service, on_experiment_viewed=lambda **seen_now: seen.append(seen_now),
            )
            if service:
                client.refresh_sticky_buckets()
            result = client.eval_feature(key)
        except Exception as error:
            return ["error", str(error)]
        r = result.experimentResult
        row = [result.value, result.source, result.ruleId or "", result.experiment.key if result.experiment else None]
        row += [r.inExperiment, r.hashUsed, r.variationId, r.key, r.hashAttribute, r.hashValue, r.bucket, r.stickyBucketUsed] if r else [None] * 8
        return row + [len(seen)]

    rows = []
    for (key, index), answer in zip(((key, index) for key in keys for index in range(len(users))), js):
        other = python(key, users[index])
        # Python counts no writes.
        same = other == answer[:-1]
        rows.append([key, index] + [text(each) for each in answer] + ["same" if same else text(other)])
    (OUT / "growthbook_payload.json").write_text(json.dumps({"payload": payload, "users": users}, ensure_ascii=False, indent=0) + "\n")
    write("growthbook_features", ["feature", "user"] + COLUMNS + ["python"], rows)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    conditions()
    features()
