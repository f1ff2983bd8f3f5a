// From a line of somebody's log to the model's provider: one request id, and the trace context of whoever asked.
import { beforeAll, describe, expect, test } from "bun:test";
import { traceOf } from "../src/trace.ts";
import { type Fleet, fleet, settled } from "./fleet.ts";
import { linesOf } from "./lines.ts";
import { type Site, siteOf, startSite } from "./site.ts";
import { until } from "./support.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
const tracestate = "rojo=00f067aa0ba902b7, congo@vendor=t61rcWkgMzE";

describe("a visitor's question", () => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite();
    token = await site.visitor();
  });
  const ask = (headers: Record<string, string>) =>
    site.on("POST", "/turns", {
      token,
      headers: { accept: "application/json", ...headers },
      body: { message: "Hello" },
    });

  test("has one id in its answer, in the log, and in the call of the model", async () => {
    const response = await ask({});
    const requestId = response.headers.get("x-request-id") ?? "";
    const { turn } = (await response.json()) as { turn: { id: string } };
    expect(site.model.calls.at(-1)?.headers["x-request-id"]).toBe(requestId);
    const line = await until(
      () => linesOf(site.server).find(({ turn_id }) => turn_id === turn.id),
      "it is logged",
    );
    expect(line).toMatchObject({ request_id: requestId, tenant_id: "default", msg: "a turn ended" });
  });

  test("takes its trace context to the model, unchanged", async () => {
    await (await ask({ traceparent, tracestate })).text();
    expect(site.model.calls.at(-1)?.headers).toMatchObject({ traceparent, tracestate });
    await until(() => linesOf(site.server).some(({ trace_id }) => trace_id === traceId), "it is logged");
  });

  test("does not take along what is no trace context", async () => {
    await (await ask({ traceparent: traceparent.toUpperCase(), tracestate })).text();
    const headers = site.model.calls.at(-1)?.headers ?? {};
    expect([headers.traceparent, headers.tracestate]).toEqual([undefined, undefined]);
  });

  test("does not choose its own id where no proxy is trusted", async () => {
    const response = await ask({ "x-request-id": "chosen-by-me" });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    await response.text();
  });

  test("asked over a WebSocket has the context of its upgrade, and an id for each frame", async () => {
    const before = site.model.calls.length;
    const headers = { traceparent, tracestate };
    const url = `${site.url.replace("http", "ws")}/v1/default/socket`;
    const socket = new WebSocket(url, { headers } as never);
    await new Promise((opened) => socket.addEventListener("open", opened));
    socket.send(JSON.stringify({ type: "auth", token }));
    for (const message of ["One", "Two"]) socket.send(JSON.stringify({ type: "turn", message }));
    const calls = await until(
      () => site.model.calls.length === before + 2 && site.model.calls.slice(before),
      "both are asked",
    );
    socket.close();
    for (const call of calls) expect(call.headers).toMatchObject({ traceparent, tracestate });
    expect(new Set(calls.map((call) => call.headers["x-request-id"])).size).toBe(2);
  });

  test("of a site's script may carry trace context", async () => {
    const shop = "https://shop.example";
    const framed = await startSite({ env: { ALLOWED_ORIGINS: shop } });
    const headers = {
      origin: shop,
      "access-control-request-method": "POST",
      "access-control-request-headers": "traceparent, tracestate",
    };
    const response = await framed.on("OPTIONS", "/turns", { headers });
    expect(response.headers.get("access-control-allow-headers")).toMatch(/\btraceparent, tracestate\b/);
  });
});

test("a proxy that is trusted names the request; what it cannot have meant as a name is not taken", async () => {
  const site = await startSite({ env: { TRUSTED_PROXIES: "1" } });
  const idOf = async (given: string) =>
    (await site.on("GET", "/conversations", { headers: { "x-request-id": given } })).headers.get(
      "x-request-id",
    );
  expect(await idOf("edge:4f1c.77-b_9")).toBe("edge:4f1c.77-b_9");
  for (const given of ["short", "x".repeat(129), "two words", '{"a":"injected"}', "naïve-ids-are"])
    expect(await idOf(given)).toMatch(/^[0-9a-f-]{36}$/);
});

describe("a turn that another process runs later", () => {
  let ground: Fleet;
  beforeAll(async () => {
    ground = await fleet();
  });

  test("is known there, and to the model, as the request that asked for it", async () => {
    const site = siteOf((await ground.start({ args: ["--role", "web"] })).url);
    const token = await site.visitor();
    const headers = { prefer: "respond-async", traceparent, tracestate };
    const response = await site.on("POST", "/turns", { token, headers, body: { message: "Later" } });
    const requestId = response.headers.get("x-request-id");
    const { turn } = (await response.json()) as { turn: { id: string } };
    const [row] = await ground.sql`select trace from turns where id = ${turn.id}`;
    expect(row?.trace).toEqual({ request_id: requestId, traceparent, tracestate });

    const worker = await ground.start({ args: ["--role", "worker"] });
    await settled(site, token, turn.id);
    expect(ground.model.calls.at(-1)?.headers).toMatchObject({
      "x-request-id": requestId,
      traceparent,
      tracestate,
    });
    const line = await until(
      () => linesOf(worker).find(({ turn_id }) => turn_id === turn.id),
      "it is logged",
    );
    expect(line).toMatchObject({ request_id: requestId, trace_id: traceId, tenant_id: "default" });
  });

  test("was perhaps stored by the version before, and runs all the same", async () => {
    const server = await ground.start({ args: ["--role", "web"] });
    const site = siteOf(server.url);
    const token = await site.visitor();
    const { id } = await site.begin(token, "Old");
    await ground.sql`update turns set trace = null where id = ${id}`;
    await ground.start({ args: ["--role", "worker"] });
    expect(await settled(site, token, id)).toMatchObject({ status: "done" });
  });
});

describe("trace context", () => {
  const taken = (parent: string, state?: string) => {
    const { request_id: _, ...context } = traceOf({ traceparent: parent, tracestate: state }, "r");
    return context;
  };

  test.each([
    traceparent,
    `00-${traceId}-b7ad6b7169203331-00`,
    `01-${traceId}-b7ad6b7169203331-01`,
    `cc-${traceId}-b7ad6b7169203331-01-what-will-come`,
  ])("%s is taken", (parent) => {
    expect(taken(parent)).toEqual({ traceparent: parent });
  });

  test.each([
    "",
    traceId,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `ff-${traceId}-b7ad6b7169203331-01`,
    `00-${traceId}-b7ad6b7169203331-01-more`,
    `00-${traceId}-b7ad6b7169203331`,
    `00-${traceId}-b7ad6b7169203331-0g`,
    `cc-${traceId}-b7ad6b7169203331-01-${"x".repeat(500)}`,
    `${traceparent}, ${traceparent}`,
    ` ${traceparent}`,
  ])("%p is not", (parent) => {
    expect(taken(parent, tracestate)).toEqual({});
  });

  test.each(["a=1", "a=1,b=2", "a=1 , b=2,", "1a@b=x", "k=a b", `k=${"v".repeat(256)}`])(
    "the state %s goes along",
    (state) => {
      expect(taken(traceparent, state)).toEqual({ traceparent, tracestate: state });
    },
  );

  test.each(["", ",", "a", "A=1", "a=1=2", "a=ü", "k=", `k=${"v".repeat(600)}`, "a=1,".repeat(33)])(
    "the state %p does not",
    (state) => {
      expect(taken(traceparent, state)).toEqual({ traceparent });
    },
  );
});
