// What a scraper sees: numbers that add up to what was done, on every process, and files that ask only for what is there.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { parse as parseYaml } from "yaml";
import { canary } from "./canary.ts";
import { call, drain } from "./client.ts";
import { type Family, parse, sum } from "./exposition.ts";
import { askHere, type Fleet, fleet, settled, shortLease } from "./fleet.ts";
import { answer, type Step } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { badLine } from "./proxy.ts";
import type { Server } from "./server.ts";
import { expectProblem, siteOf, startSite, type Turn } from "./site.ts";
import { repository, until } from "./support.ts";
import { openSocket } from "./websocket.ts";

const METRICS_TOKEN = canary("METRICS_TOKEN");
const silence: Step = { hold: new Promise(() => {}) };

async function scrape({ url }: { url: string }): Promise<Map<string, Family>> {
  const response = await call(url, "GET", "/metrics", { token: METRICS_TOKEN });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return parse(await response.text());
}

/** Over all of these processes; what has not happened anywhere is 0. */
async function total(servers: { url: string }[], name: string, labels: Record<string, string> = {}) {
  const all = await Promise.all(servers.map(scrape));
  return all.reduce((whole, families) => whole + (sum(families, name, labels) ?? 0), 0);
}

describe("the door", () => {
  test("is not there without a METRICS_TOKEN, as any address that is not", async () => {
    const { url } = await startSite();
    await expectProblem(call(url, "GET", "/metrics"), 404, "not_found");
    await expectProblem(call(url, "GET", "/metrics", { token: METRICS_TOKEN }), 404, "not_found");
  });

  test("opens to the token only, and is no part of the sites' API", async () => {
    const site = await startSite({ env: { METRICS_TOKEN } });
    const visitor = await site.visitor();
    for (const token of [undefined, visitor, "x", METRICS_TOKEN.slice(0, -1), `${METRICS_TOKEN}x`])
      await expectProblem(call(site.url, "GET", "/metrics", { token }), 401, "unauthorized");
    expect(sum(await scrape(site), "cip_build_info")).toBe(1);
    const document = await (await call(site.url, "GET", "/openapi.json")).text();
    expect(document).not.toContain("/metrics");
  });

  test("counts what OPTIONS was answered with", async () => {
    const site = await startSite({ env: { METRICS_TOKEN } });
    for (const [tenant, status] of [
      ["default", 204],
      ["nobody", 404],
    ] as const)
      expect((await call(site.url, "OPTIONS", `/v1/${tenant}/turns`)).status).toBe(status);
    const families = await scrape(site);
    const counted = (status: string) =>
      sum(families, "cip_http_requests_total", { method: "OPTIONS", status });
    expect([counted("2xx"), counted("4xx")]).toEqual([1, 1]);
  });
});

describe("after a day's traffic on two processes", () => {
  let ground: Fleet;
  let near: Server;
  let far: Server;
  let both: Server[];
  const turns: Turn[] = [];
  const all = (name: string, labels?: Record<string, string>) => total(both, name, labels);

  beforeAll(async () => {
    ground = await fleet(
      { ...shortLease, METRICS_TOKEN },
      {
        acme: "DAILY_TOKENS_MAX=100000\nLLM_MAX_TOKENS=1000",
        tight: "CONCURRENT_RUNS_MAX=1\nQUEUE_WAIT_MS=0",
        limited: "LIMIT_MESSAGES_PER_VISITOR=1/1h",
      },
    );
    both = [await ground.start(), await ground.start()];
    [near, far] = both as [Server, Server];
    const [acme, tight, limited] = ["acme", "tight", "limited"].map((id) => siteOf(near.url, id)) as [
      Api,
      Api,
      Api,
    ];
    const token = await acme.visitor();
    for (const api of [acme, acme, siteOf(far.url, "acme")])
      turns.push(await api.ask(token, "one two three"));
    const read = await drain(await acme.stream(token, "four"));
    turns.push(await acme.turn(token, read.turnId));

    ground.model.next({ status: 400 });
    await drain(await acme.stream(token, "Fail"));

    ground.model.next([{ text: "Half" }, silence]);
    const stopped = await askHere(acme, token, "Stop");
    await acme.said(token, stopped.id, "Half");
    await siteOf(far.url, "acme").stop(token, stopped.id);
    await stopped.reader;

    const tightToken = await tight.visitor();
    const held = Promise.withResolvers<void>();
    ground.model.next([{ text: "o" }, { hold: held.promise }, ...answer("k")]);
    const first = await askHere(tight, tightToken, "First");
    await tight.said(tightToken, first.id, "o");
    await expectProblem(tight.stream(tightToken, "Second"), 503, "too_many_turns");
    held.resolve();
    await first.reader;

    const limitedToken = await limited.visitor();
    await limited.ask(limitedToken, "One");
    await expectProblem(limited.stream(limitedToken, "Two"), 429, "too_many_requests");

    const victim = await ground.start();
    ground.model.next([{ text: "Gone" }, silence]);
    const lost = await askHere(siteOf(victim.url, "acme"), token, "Die");
    await acme.said(token, lost.id, "Gone");
    lost.reader.catch(() => {});
    victim.kill("SIGKILL");
    await settled(acme, token, lost.id);
  });

  test("every turn is counted once, by tenant and by how it ended", async () => {
    const outcomes = (tenant: string) =>
      Promise.all(
        ["done", "failed", "stopped", "interrupted"].map((outcome) =>
          all("cip_turns_total", { tenant, outcome }),
        ),
      );
    expect(await outcomes("acme")).toEqual([4, 1, 1, 1]);
    expect(await outcomes("tight")).toEqual([1, 0, 0, 0]);
    expect(await outcomes("limited")).toEqual([1, 0, 0, 0]);
    expect(await all("cip_turns_total")).toBe(9);
    expect(await all("cip_turn_errors_total")).toBe(1);
    expect(await all("cip_turn_errors_total", { code: "model_rejected" })).toBe(1);
    expect(await total([far], "cip_turns_total", { outcome: "done" })).toBe(1);
  });

  test("so are its tokens, and its calls of the model", async () => {
    const used = (type: "input_tokens" | "output_tokens") =>
      turns.reduce((tokens, turn) => tokens + (turn.usage?.[type] ?? 0), 0);
    const tenant = "acme";
    expect(used("output_tokens")).toBeGreaterThan(0);
    expect(await all("cip_tokens_total", { tenant, type: "input" })).toBe(used("input_tokens"));
    expect(await all("cip_tokens_total", { tenant, type: "output" })).toBe(used("output_tokens"));
    expect(await all("cip_model_attempts_total", { endpoint: "primary" })).toBe(8);
    expect(await all("cip_model_errors_total", { code: "model_rejected", status: "4xx" })).toBe(1);
  });

  test("first chunks and gaps are those of the answers that were begun", async () => {
    expect(await all("cip_first_chunk_seconds_count")).toBe(7);
    expect(await all("cip_turn_duration_seconds_count")).toBe(8);
    expect(await all("cip_first_chunk_seconds_bucket", { le: "+Inf" })).toBe(7);
    expect(await all("cip_chunk_gap_seconds_count")).toBeGreaterThan(0);
  });

  test("requests are counted by the pattern of their route", async () => {
    const asked = { route: "/v1/:tenant/turns", method: "POST" };
    expect(await all("cip_http_requests_total", { ...asked, status: "2xx" })).toBe(8);
    expect(await all("cip_http_requests_total", { ...asked, status: "4xx" })).toBe(1);
    expect(await all("cip_http_requests_total", { ...asked, status: "5xx" })).toBe(1);
    const families = await Promise.all(both.map(scrape));
    for (const samples of families.map((found) => found.get("cip_http_requests_total")?.samples ?? []))
      for (const { labels } of samples) expect(labels.route).not.toMatch(/[0-9a-f]{8}-|acme/);
  });

  test("what a limit refused is counted by the limit", async () => {
    expect(await all("cip_refused_total", { limit: "room" })).toBe(1);
    expect(await all("cip_refused_total", { limit: "visitor" })).toBe(1);
    expect(await all("cip_refused_total")).toBe(2);
  });

  test("a tenant's budget is there with what is used of it, on each process; other tenants have none", async () => {
    const tenant = "acme";
    const [row] = await ground.sql`select tokens from budgets where tenant_id = 'acme' and holder = ''`;
    for (const server of both) {
      const families = await scrape(server);
      expect(sum(families, "cip_budget_tokens_max", { tenant })).toBe(100_000);
      expect(sum(families, "cip_budget_tokens_used", { tenant })).toBe(Number(row?.tokens));
      expect(families.get("cip_budget_tokens_used")?.samples).toHaveLength(1);
    }
  });

  test("who reads is counted while he does, and how it ended", async () => {
    const api = siteOf(near.url, "acme");
    const token = await api.visitor();
    const left = await total([near], "cip_reads_total", { transport: "sse", ending: "left" });
    const held = Promise.withResolvers<void>();
    ground.model.next([{ text: "Well" }, { hold: held.promise }, ...answer("!")]);
    const gone = new AbortController();
    const body = { message: "Read me" };
    const headers = { accept: "text/event-stream" };
    const response = await call(near.url, "POST", "/v1/acme/turns", {
      token,
      body,
      headers,
      signal: gone.signal,
    });
    const running = async () => [
      await total([near], "cip_readers", { transport: "sse" }),
      await total([near], "cip_turns_running"),
    ];
    expect(await running()).toEqual([1, 1]);
    gone.abort();
    response.body?.cancel().catch(() => {});
    await until(async () => (await running()).join() === "0,1", "the reader is gone, the turn goes on");
    expect(await total([near], "cip_reads_total", { transport: "sse", ending: "left" })).toBe(left + 1);
    held.resolve();
    await until(async () => (await running()).join() === "0,0", "the turn ends");

    const socket = await openSocket(near.url, token, "acme");
    await socket.say({ type: "turn", message: "Hello" });
    expect(await total([near], "cip_sockets_open")).toBe(1);
    expect(await total([near], "cip_reads_total", { transport: "websocket", ending: "whole" })).toBe(1);
    socket.close();
    await until(async () => (await total([near], "cip_sockets_open")) === 0, "the socket is closed");
  });

  test("the process tells how it is", async () => {
    await until(
      async () => (await total([near], "cip_event_loop_delay_seconds_count")) > 0,
      "a look at the loop",
    );
    const families = await scrape(near);
    expect(sum(families, "process_resident_memory_bytes")).toBeGreaterThan(10_000_000);
    expect(sum(families, "process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(sum(families, "process_start_time_seconds")).toBeLessThan(Date.now() / 1000);
    expect(sum(families, "cip_database_up")).toBe(1);
    expect(sum(families, "cip_database_connections_max")).toBe(10);
    expect(sum(families, "cip_database_wait_seconds_count")).toBeGreaterThan(10);
    expect(sum(families, "cip_checkpoint_duration_seconds_count")).toBeGreaterThan(0);
  });

  describe("the files for Prometheus and Grafana", () => {
    const read = (name: string) => readFileSync(join(repository, "deploy", name), "utf8");
    const rules = (parseYaml(read("alerts.yml")) as Rules).groups.flatMap((group) => group.rules);
    const panels = (JSON.parse(read("grafana-dashboard.json")) as Dashboard).panels;
    const expressions = [
      ...rules.map(({ alert, expr }) => [alert, expr] as const),
      ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
    ];

    test("are whole: rules with words and a severity, panels that overlap nowhere", () => {
      expect(rules.length).toBeGreaterThan(10);
      for (const { labels, annotations } of rules) {
        expect(["page", "ticket"]).toContain(labels.severity);
        expect([annotations.summary, annotations.description]).toEqual([
          expect.any(String),
          expect.any(String),
        ]);
      }
      expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
      );
      expect(new Set(cells).size).toBe(cells.length);
    });

    test.each(expressions)("%s asks for what a scrape has: %s", async (_title, expr) => {
      const families = await Promise.all(both.map(scrape));
      const { metrics, grouped } = usedIn(expr.replaceAll("$__rate_interval", "5m"));
      expect(metrics.length).toBeGreaterThan(0);
      const known = new Set(["instance", "job", "le"]);
      for (const { name, matchers } of metrics) {
        if (name === "up") continue; // Prometheus' own
        const samples = families.flatMap((found) => samplesOf(found, name));
        expect(samples.length, name).toBeGreaterThan(0);
        for (const key of samples.flatMap(({ labels }) => Object.keys(labels))) known.add(key);
        const fitting = samples.filter(({ labels }) =>
          matchers.every(({ label, op, value }) => {
            if (["instance", "job"].includes(label) || value.startsWith("$")) return known.has(label);
            return op === "=~"
              ? new RegExp(`^(${value})$`).test(labels[label] ?? "")
              : labels[label] === value;
          }),
        );
        expect(fitting.length, `${name} with ${JSON.stringify(matchers)}`).toBeGreaterThan(0);
      }
      expect(grouped.filter((label) => !known.has(label))).toEqual([]);
    });
  });
});

test("what waits is seen by every process, workers too, until one runs it", async () => {
  const { start, model } = await fleet({ METRICS_TOKEN });
  const web = await start({ args: ["--role", "web"] });
  const site = siteOf(web.url);
  const token = await site.visitor();
  const { id } = await site.begin(token, "Later");
  const queued = async (server: Server) => sum(await scrape(server), "cip_turns_queued");
  await until(async () => (await queued(web)) === 1, "it is seen");
  expect(sum(await scrape(web), "cip_turns_queued_oldest_seconds")).toBeGreaterThan(0);
  await site.stop(token, (await site.begin(token, "Never mind")).id);
  expect(await total([web], "cip_turns_total", { outcome: "stopped" })).toBe(1);

  const gate = Promise.withResolvers<void>();
  model.next([{ hold: gate.promise }, ...answer("ok")]);
  const worker = await start({ args: ["--role", "worker"] });
  await until(async () => (await queued(worker)) === 0, "it is taken");
  expect(await total([worker], "cip_turns_running")).toBe(1);
  gate.resolve();
  await settled(site, token, id);
  expect(await total([worker], "cip_turns_total", { tenant: "default", outcome: "done" })).toBe(1);
});

test("a scrape does without the database: what only that knows is then absent, not old", async () => {
  const databaseUrl = new URL(await (await postgresCluster()).createDatabase());
  const line = await badLine(databaseUrl.href);
  databaseUrl.host = new URL(line.url).host;
  const site = await startSite({ env: { METRICS_TOKEN } }, databaseUrl.href);
  expect(sum(await scrape(site), "cip_turns_queued")).toBe(0);
  line.down(true);
  await until(async () => sum(await scrape(site), "cip_database_up") === 0, "it is missed");
  const families = await scrape(site);
  expect(sum(families, "cip_turns_queued")).toBeUndefined();
  expect(sum(families, "cip_database_errors_total", { kind: "lost" })).toBeGreaterThan(0);
  line.down(false);
  await until(async () => sum(await scrape(site), "cip_turns_queued") === 0, "it is back", 20_000);
});

type Api = ReturnType<typeof siteOf>;
type Rules = {
  groups: {
    rules: {
      alert: string;
      expr: string;
      labels: { severity: string };
      annotations: { summary: string; description: string };
    }[];
  }[];
};
type Dashboard = {
  panels: {
    title: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets?: { expr: string }[];
  }[];
};

const samplesOf = (families: Map<string, Family>, name: string) =>
  (families.get(name.replace(/_(bucket|sum|count)$/, "")) ?? families.get(name))?.samples.filter(
    (sample) => sample.name === name,
  ) ?? [];

/** The metrics that an expression asks for, with what it wants of their labels, and the labels that it groups by. */
function usedIn(expr: string) {
  const metrics: { name: string; matchers: { label: string; op: string; value: string }[] }[] = [];
  const grouped: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }) => expr.slice(from, to);
  parser.parse(expr).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expr}`);
      if (node.name === "Identifier") metrics.push({ name: textOf(node), matchers: [] });
      if (node.name === "UnquotedLabelMatcher") {
        const [, label = "", op = "", value = ""] = /^(\w+)(=~|!=|!~|=)"(.*)"$/.exec(textOf(node)) ?? [];
        metrics.at(-1)?.matchers.push({ label, op, value });
      }
      if (node.name === "LabelName" && node.node.parent?.name === "GroupingLabels")
        grouped.push(textOf(node));
    },
  });
  return { metrics, grouped };
}
