#!/usr/bin/env python3
"""Writes crates/policy/tests/vectors/assign/*.csv: what the real software says about some ids.

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install xxhash UnleashClient \\
        openfeature-provider-flagd flagsmith-flag-engine optimizely-sdk statsig eppo-server-sdk \\
        planout six posthog
    npm install --prefix /tmp/vectors @growthbook/growthbook@1.8.0 @openfeature/flagd-core@4.0.1
    NODE_PATH=/tmp/vectors/node_modules /tmp/vectors/bin/python scripts/assignment-vectors.py
"""

import collections
import collections.abc
import csv
import json
import pathlib
import subprocess
from importlib.metadata import version

OUT = pathlib.Path(__file__).parent.parent / "crates/policy/tests/vectors/assign"
COMMAND = "python scripts/assignment-vectors.py"
# Numbers, UUIDs, addresses, every length up to 40, and ids that are not ASCII.
ASCII = (
    [str(n) for n in range(120)]
    + [f"user-{n * 7919}" for n in range(60)]
    + [f"{n:08x}-1111-4222-8333-{n * 99991:012x}" for n in range(40)]
    + [f"name.{n}@example.com" for n in range(20)]
    + ["x" * n for n in range(1, 41)]
    + ["y" * n for n in (128, 129, 240, 241, 255, 256, 300)]
    + ["z" * 10_000]
)
OTHER = ["josé", "用户42", "😀1", "ß", "Ω≈ç", "naïve user", "a,b", 'quo"te', "ключ-7"]
IDS = ASCII + OTHER


def write(name, source, columns, rows):
    OUT.mkdir(parents=True, exist_ok=True)
    with open(OUT / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        file.write(f"# source: {source}\n# command: {COMMAND}\n# tolerance: exact\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def node(program, data):
    text = subprocess.run(
        ["node", "-e", program], input=json.dumps(data), text=True, capture_output=True, check=True
    ).stdout
    return json.loads(text)


READ = "const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));"


def native():
    import xxhash

    def rows():
        for purpose in ("variant", "coverage", "layer", "holdout"):
            for salt in ("checkout", "", "Größe"):
                seed = xxhash.xxh3_64_intdigest(f"{purpose}:{salt}".encode())
                for unit in IDS if salt == "checkout" else OTHER:
                    value = xxhash.xxh3_64_intdigest(unit.encode(), seed=seed)
                    yield purpose, salt, seed, unit, value * 1_000_000 >> 64

    source = f"XXH3 of PyPI xxhash {version('xxhash')} (xxHash {xxhash.XXHASH_VERSION})"
    write("native", source, ["purpose", "salt", "seed", "unit", "bucket"], rows())


def growthbook():
    cases = [(seed, unit) for seed in ("exp", "my-exp-1", "größe") for unit in IDS]
    splits = [
        (1, [0.5, 0.5]), (0.3, [0.5, 0.5]), (1, [0.333, 0.333, 0.334]), (0.7, [0.1, 0.2, 0.7]),
        (0.05, [0.6, 0.3, 0.1]), (1, [0.9, 0.1]), (0.9, [0.25, 0.25, 0.25, 0.25]),
    ]
    program = READ + """
    const path = require.resolve('@growthbook/growthbook');
    const u = require(path.replace(/dist.*/, 'dist/cjs/util.js'));
    const rows = [];
    for (const [seed, unit] of input.cases) for (const v of [1, 2]) {
      const n = u.hash(seed, unit, v);
      rows.push([seed, unit, v, n].concat(input.splits.map(([coverage, weights]) =>
        u.chooseVariation(n, u.getBucketRanges(weights.length, coverage, weights)))));
    }
    console.log(JSON.stringify(rows));"""
    rows = node(program, {"cases": cases, "splits": splits})
    names = [f"{coverage} of {' '.join(map(str, weights))}" for coverage, weights in splits]
    write("growthbook", "npm @growthbook/growthbook 1.8.0", ["seed", "unit", "version", "hash"] + names, rows)


def unleash():
    from yggdrasil_engine.engine import UnleashEngine

    # Rollout in percent, group, weights.
    features = [(100, "group", [1, 1]), (37, "group", [333, 667]), (1, "f", [500, 300, 200]), (50, "é", [0, 1000])]
    engine = UnleashEngine()
    engine.take_state(json.dumps({"version": 2, "features": [{
        "name": f"f{index}", "type": "experiment", "enabled": True,
        "strategies": [{"name": "flexibleRollout", "parameters": {
            "rollout": str(rollout), "stickiness": "userId", "groupId": group}}],
        "variants": [{"name": str(i), "weight": w, "stickiness": "userId"} for i, w in enumerate(weights)],
    } for index, (rollout, group, weights) in enumerate(features)]}))

    def rows():
        for index, (rollout, group, weights) in enumerate(features):
            for unit in IDS:
                context = {"userId": unit, "currentTime": "2026-01-01T00:00:00Z", "properties": {}}
                on = engine.is_enabled(f"f{index}", context).is_enabled
                name = engine.get_variant(f"f{index}", context).variant.name if on else ""
                yield group, f"f{index}", rollout, " ".join(map(str, weights)), unit, name

    source = f"PyPI yggdrasil-engine {version('yggdrasil-engine')}, which UnleashClient {version('UnleashClient')} evaluates with"
    write("unleash", source, ["group", "feature", "percent", "weights", "unit", "variant"], rows())


FLAGD = [[1, 1], [333, 667], [5, 3, 2], [0, 1], [1, 1, 1], [1_000_000_000, 1_000_000_000, 147_483_647]]


def flagd():
    from openfeature.contrib.tools.flagd.core.targeting.custom_ops import fractional

    def rows():
        for flag in ("checkout", "f" * 30, "größe"):
            for unit in IDS + ["z" * 70_000] * (flag == "checkout"):
                data = {"targetingKey": unit, "$flagd": {"flagKey": flag}}
                yield [flag, unit] + [fractional(data, *[[i, w] for i, w in enumerate(ws)]) for ws in FLAGD]

    names = [" ".join(map(str, weights)) for weights in FLAGD]
    source = f"PyPI openfeature-flagd-core {version('openfeature-flagd-core')}"
    write("flagd_cbor", source, ["flag", "unit"] + names, rows())

    # The JavaScript hash is that of the others for ASCII only.
    program = READ + """
    const { FlagdCore } = require('@openfeature/flagd-core');
    const log = { error() {}, warn() {}, info() {}, debug() {} };
    const rows = [];
    for (const flag of input.flags) {
      const cores = input.weights.map(weights => {
        const core = new FlagdCore(undefined, log);
        const variants = Object.fromEntries(weights.map((_, i) => ['v' + i, i]));
        core.setConfigurations(JSON.stringify({ flags: { [flag]: { state: 'ENABLED', variants, defaultVariant: 'v0',
          targeting: { fractional: weights.map((w, i) => ['v' + i, w]) } } } }));
        return core;
      });
      for (const unit of input.units) rows.push([flag, unit].concat(cores.map(core =>
        core.resolveNumberEvaluation(flag, -1, { targetingKey: unit }, log).value)));
    }
    console.log(JSON.stringify(rows));"""
    rows = node(program, {"flags": ["checkout", "f"], "units": ASCII, "weights": FLAGD})
    write("flagd_string", "npm @openfeature/flagd-core 4.0.1", ["flag", "unit"] + names, rows)


def flagsmith():
    from flag_engine.segments.evaluator import get_flag_result_from_context
    from flag_engine.utils.hashing import get_hashed_percentage_for_object_ids as percentage

    splits = [[50, 50], [10, 20, 70], [33, 33, 34], [1, 99]]

    def variant(key, unit, weights):
        variants = [{"value": str(i), "weight": w, "priority": i} for i, w in enumerate(weights)]
        feature = {"key": key, "name": "f", "enabled": True, "value": "none", "variants": variants}
        context = {"environment": {"key": "e", "name": "e"}, "identity": {"identifier": unit, "key": unit}}
        return get_flag_result_from_context(context, feature, "DEFAULT")["value"]

    def rows():
        for key in ("17", "4b1a", "ключ"):
            for unit in IDS:
                yield [key, unit, repr(percentage([key, unit]))] + [variant(key, unit, ws) for ws in splits]
        # The rare step of exactly 100, which is hashed again.
        found = (str(n) for n in range(100_000) if round_again("17", str(n)))
        for unit in list(found)[:5]:
            yield ["17", unit, repr(percentage(["17", unit]))] + [variant("17", unit, ws) for ws in splits]

    def round_again(key, unit):
        import hashlib
        return int(hashlib.md5(f"{key},{unit}".encode()).hexdigest(), 16) % 9999 == 9998

    names = [" ".join(map(str, weights)) for weights in splits]
    source = f"PyPI flagsmith-flag-engine {version('flagsmith-flag-engine')}"
    write("flagsmith", source, ["key", "unit", "percentage"] + names, rows())


def optimizely():
    from optimizely.bucketer import Bucketer

    bucketer = Bucketer()

    class Project:
        class logger:
            @staticmethod
            def debug(_):
                pass

    ends = [[("0", 5000), ("1", 10000)], [("0", 1234), ("", 5000), ("1", 7500)]]
    allocations = [[{"entityId": entity, "endOfRange": end} for entity, end in each] for each in ends]

    def rows():
        for parent in ("1886780721", "exp", "größe"):
            for unit in IDS:
                found = [bucketer.find_bucket(Project, unit, parent, each) for each in allocations]
                yield [parent, unit, bucketer._generate_bucket_value(unit + parent)] + [entity or "" for entity in found]

    names = [" ".join(f"{entity}:{end}" for entity, end in each) for each in ends]
    source = f"PyPI optimizely-sdk {version('optimizely-sdk')}"
    write("optimizely", source, ["parent", "unit", "bucket"] + names, rows())


def statsig():
    from statsig.evaluator import _Evaluator
    from statsig.statsig_user import StatsigUser

    evaluator = object.__new__(_Evaluator)
    passes = getattr(evaluator, "_Evaluator__eval_pass_percentage")
    compute = getattr(evaluator, "_Evaluator__compute_user_hash")

    def rows():
        for salts in ("config.rule", "größe.r"):
            config, rule = salts.split(".")
            for unit in IDS:
                user = StatsigUser(unit)
                passed = [
                    int(passes(user, {"passPercentage": percent, "salt": rule}, {"salt": config}))
                    for percent in (1, 12.34, 50, 99.99, 100)
                ]
                # As the condition USER_BUCKET computes it.
                yield [salts, unit] + passed + [int(compute(salts + "." + unit) % 1000)]

    columns = ["salts", "unit", "1", "12.34", "50", "99.99", "100", "user bucket"]
    write("statsig", f"PyPI statsig {version('statsig')}", columns, rows())


def eppo():
    import eppo_client

    flags = {}
    # Key, traffic end, ends of the variations.
    specs = [("full", 10_000, [5000, 10_000]), ("partial", 6_000, [3333, 6666, 10_000]), ("größe", 100, [9999, 10_000])]
    for key, traffic, ends in specs:
        starts = [0] + ends[:-1]
        flags[key] = {
            "key": key, "enabled": True, "variationType": "STRING", "totalShards": 10_000,
            "variations": {str(i): {"key": str(i), "value": str(i)} for i in range(len(ends))},
            "allocations": [{"key": "a", "rules": [], "doLog": False, "splits": [{
                "variationKey": str(i), "shards": [
                    {"salt": f"{key}-traffic", "ranges": [{"start": 0, "end": traffic}]},
                    {"salt": f"{key}-split", "ranges": [{"start": starts[i], "end": ends[i]}]},
                ]} for i in range(len(ends))]}],
        }
    configuration = {"createdAt": "2026-01-01T00:00:00.000Z", "format": "SERVER", "environment": {"name": "t"}, "flags": flags}
    client = eppo_client.init(eppo_client.ClientConfig(
        api_key="none", assignment_logger=eppo_client.AssignmentLogger(), poll_interval_seconds=None,
        base_url="http://127.0.0.1:1",
        initial_configuration=eppo_client.Configuration(flags_configuration=json.dumps(configuration).encode()),
    ))

    def rows():
        for key, traffic, ends in specs:
            for unit in IDS:
                yield key, traffic, " ".join(map(str, ends)), unit, client.get_string_assignment(key, unit, {}, "")

    columns = ["flag", "traffic", "ends", "unit", "variant"]
    write("eppo", f"PyPI eppo-server-sdk {version('eppo-server-sdk')}", columns, rows())


def planout():
    # PlanOut 0.6 was written for Python before 3.10.
    collections.MutableMapping = collections.abc.MutableMapping
    from planout.assignment import Assignment
    from planout.ops.random import BernoulliTrial, RandomFloat, RandomInteger, WeightedChoice

    splits = [[1, 1], [1, 2], [0.3, 0.3, 0.4], [5, 3, 2]]

    def rows():
        for salt in ("exp", "nation"):
            # PlanOut encodes ids as ASCII.
            for unit in [unit for unit in IDS if unit.isascii()]:
                a = Assignment(salt)
                for name, operator in [
                    ("p", RandomFloat(min=0.0, max=1.0, unit=unit)),
                    ("n", RandomInteger(min=0, max=9_999, unit=unit)),
                    ("trial", BernoulliTrial(p=0.25, unit=unit)),
                ] + [(f"choice{i}", WeightedChoice(choices=list(range(len(ws))), weights=list(ws), unit=unit)) for i, ws in enumerate(splits)]:
                    a[name] = operator
                yield [salt, unit, repr(a["p"]), a["n"], a["trial"]] + [a[f"choice{i}"] for i in range(len(splits))]

    names = [" ".join(map(str, weights)) for weights in splits]
    write("planout", f"PyPI PlanOut {version('PlanOut')}", ["salt", "unit", "p", "n", "trial"] + names, rows())


def posthog():
    from posthog.feature_flags import _hash, get_matching_variant

    splits = [[50, 50], [10, 20, 70], [33, 33, 34]]

    def rows():
        for key in ("checkout", "größe"):
            flags = [{"key": key, "filters": {"multivariate": {"variants": [
                {"key": str(i), "rollout_percentage": p} for i, p in enumerate(split)]}}} for split in splits]
            for unit in IDS:
                yield [key, unit, repr(_hash(key, unit)), repr(_hash(key, unit, salt="variant"))] + [
                    get_matching_variant(flag, unit) for flag in flags]

    names = [" ".join(map(str, weights)) for weights in splits]
    write("posthog", f"PyPI posthog {version('posthog')}", ["key", "unit", "rollout", "variant"] + names, rows())


if __name__ == "__main__":
    for part in (native, growthbook, unleash, flagd, flagsmith, optimizely, statsig, eppo, planout, posthog):
        part()
        print(part.__name__)
