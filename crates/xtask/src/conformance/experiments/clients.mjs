// Clients of npm against a running tidegate: what they find must be what `/v1/decide` says.
//
// Usage: node clients.mjs BASE CLIENT_KEY TOKEN

import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { GrowthBook, setPolyfills } from "@growthbook/growthbook";
import { growthbookTrackingPlugin } from "@growthbook/growthbook/plugins";
import { EventSource } from "eventsource";

const [base, key] = process.argv.slice(2);
const units = [...Array(20).keys()].map((number) => `unit-${number}`).concat("josé", "用户42");
let checks = 0;

// Browsers have these.
globalThis.EventSource = EventSource;
setPolyfills({ EventSource });

function check(what, found, expected) {
  checks += 1;
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    console.error(`${what}: found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
    process.exit(1);
  }
}

async function ask(path, body) {
  const answer = await fetch(base + path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}` },
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function decide(experiment, question) {
  return (await ask("/v1/decide", { experiments: [experiment], ...question })).decisions[0];
}

async function openFeature() {
  const statuses = [];
  const provider = new OFREPWebProvider({
    baseUrl: base,
    headers: [["X-API-Key", key]],
    cacheMode: "disabled",
    fetchImplementation: async (...args) => {
      const answer = await fetch(...args);
      statuses.push(answer.status);
      return answer;
    },
  });
  await OpenFeature.setContext({ targetingKey: units[0], plan: "pro" });
  await OpenFeature.setProviderAndWait(provider);
  const client = OpenFeature.getClient();
  for (const unit of units) {
    await OpenFeature.setContext({ targetingKey: unit, plan: "pro" });
    const found = {
      truth: client.getBooleanDetails("truth", false),
      text: client.getStringDetails("text", "default"),
      whole: client.getNumberDetails("whole", -1),
      real: client.getNumberDetails("real", -1),
      thing: client.getObjectDetails("thing", {}),
    };
    for (const [experiment, details] of Object.entries(found)) {
      const expected = await decide(experiment, { unit, attributes: { plan: "pro" } });
      check(`ofrep ${experiment} ${unit}`, details.value, expected.value);
      check(`ofrep variant ${experiment} ${unit}`, details.variant, expected.variant);
    }
    // Another attribute, the same targeting key: the provider sends the tag that it has.
    const inside = client.getStringDetails("colour", "default");
    const expected = await decide("colour", { unit, attributes: { plan: "pro" } });
    check(`ofrep colour ${unit}`, inside.value, expected.value);
    await OpenFeature.setContext({ targetingKey: unit, plan: "free" });
    const outside = client.getStringDetails("colour", "default");
    check(`ofrep colour outside ${unit}`, outside.value, "default");
    await OpenFeature.setContext({ targetingKey: unit, plan: "free" });
  }
  check("the provider was told 304", statuses.includes(304), true);
  check("nothing failed", statuses.every((status) => status === 200 || status === 304), true);
  const details = client.getStringDetails("nothing", "default");
  check("unknown flag", [details.value, details.errorCode], ["default", "FLAG_NOT_FOUND"]);
  await OpenFeature.close();
}

async function growthBook(remoteEval) {
  const before = (await ask("/v1/status")).received;
  for (const [number, unit] of units.entries()) {
    const attributes = { id: unit, uid: unit, plan: number % 2 ? "pro" : "free" };
    const client = new GrowthBook({
      apiHost: base,
      clientKey: key,
      attributes,
      remoteEval,
      disableCache: true,
      plugins: [
        growthbookTrackingPlugin({ ingestorHost: base, enableFeatureUsageEvents: false, queueFlushInterval: 1 }),
      ],
    });
    const loaded = await client.init({ streaming: number === 0, skipCache: true });
    check(`growthbook loads ${unit}`, loaded.success, true);
    const expected = await decide("colour", { user: unit, attributes });
    check(`growthbook colour ${unit}`, client.getFeatureValue("colour", null), expected.value);
    if (remoteEval) {
      const text = await decide("text", { unit, attributes });
      check(`growthbook text ${unit}`, client.getFeatureValue("text", null), text.value);
    }
    await client.logEvent("purchase", { value: 2 });
    client.destroy();
  }
  const exposed = Math.floor(units.length / 2) + (remoteEval ? units.length : 0);
  const deadline = Date.now() + 20_000;
  let found;
  do {
    const now = (await ask("/v1/status")).received;
    found = [now.exposures - before.exposures, now.events - before.events];
    if (found[0] === exposed && found[1] === units.length) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (Date.now() < deadline);
  check(`growthbook tracking remote=${remoteEval}`, found, [exposed, units.length]);
}

await openFeature();
await growthBook(false);
await growthBook(true);
console.log(`npm: ${checks} checks`);
// Streams that clients keep would hold the process.
process.exit(0);
