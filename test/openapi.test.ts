// GET /openapi.json tells the truth: it names every route, and what is answered is what it says.
import { beforeAll, describe, expect, test } from "bun:test";
import { load } from "../src/config/config.ts";
import { createApp } from "../src/http/app.ts";
import type { Services } from "../src/http/services.ts";
import { call } from "./client.ts";
import { mistakes, type Schema } from "./jsonschema.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";

type Content = Record<string, { schema: Schema }>;
type Parameter = { name: string; in: string; required: boolean; schema: Schema };
type Operation = {
  operationId: string;
  summary: string;
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Content };
  responses: Record<string, { description: string; content?: Content }>;
  security?: Record<string, string[]>[];
};
type Document = {
  openapi: string;
  info: Record<string, string>;
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, unknown>; schemas: Record<string, unknown> };
};

/** Of a server that starts nothing. */
const services = (environment: Record<string, string>) =>
  ({ config: load(site.server.cwd, environment), db: {}, keys: {}, runs: {}, chat: {} }) as Services;

let site: Site;
let document: Document;
let operations: { name: string; path: string; operation: Operation }[];
beforeAll(async () => {
  site = await startSite();
  document = (await (await call(site.url, "GET", "/openapi.json")).json()) as Document;
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
});

describe("the document", () => {
  test("is OpenAPI 3.1 about this program", () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: "cip", version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(JSON.stringify(document)).not.toMatch(/\/(tmp|home|work|root)\//);
  });

  test("says where visitors reach the server, as far as it is known", async () => {
    const serversOf = async (environment: Record<string, string>) => {
      const app = await createApp(services(environment), true);
      const answer = await app.handle(new Request("http://localhost/openapi.json"));
      return ((await answer.json()) as { servers?: unknown }).servers;
    };
    expect(await serversOf({})).toBeUndefined();
    expect(await serversOf({ PUBLIC_URL: "https://chat.example" })).toEqual([
      { url: "https://chat.example" },
    ]);
  });

  test("declares every parameter of every path, and no other", () => {
    for (const { name, path, operation } of operations) {
      const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
      const used = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      expect(declared.map((parameter) => parameter.name).sort(), name).toEqual(used.sort() as string[]);
      expect(declared.every(({ required }) => required)).toBe(true);
      const needed = operation.parameters?.filter(
        (parameter) => parameter.in === "query" && parameter.required,
      );
      expect(needed ?? [], `${name} can do without a query`).toEqual([]);
    }
  });

  test("names and describes each operation and each answer, with the media type of its body", () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { name, operation } of operations) {
      expect(operation.summary, name).toBeTruthy();
      if (operation.requestBody) {
        expect(Object.keys(operation.requestBody.content), name).toEqual(["application/json"]);
      }
      for (const [status, { description, content }] of Object.entries(operation.responses)) {
        expect(description, `${name} ${status}`).toBeTruthy();
        const types = Object.keys(content ?? {});
        if (Number(status) >= 400) expect(types).toEqual(["application/problem+json"]);
        else expect(types.length > 0).toBe(status !== "204");
      }
    }
  });

  test("names what a caller can meet anywhere, and what any body can", () => {
    for (const { name, operation } of operations) {
      const statuses = Object.keys(operation.responses);
      const wanted = ["500"];
      if (operation.security) wanted.push("401", "404", "429", "503");
      if (operation.requestBody) wanted.push("400", "408", "413", "415", "422");
      expect(statuses, name).toEqual(expect.arrayContaining(wanted));
    }
    const ask = document.paths["/v1/{tenant}/turns"]?.post as Operation;
    for (const code of ["too_many_requests", "too_many_runs", "budget_exhausted"])
      expect(ask.responses["429"]?.description).toContain(code);
  });

  test("has something behind every reference and every kind of security", () => {
    const missing: string[] = [];
    JSON.stringify(document, (key, value: unknown) => {
      if (key === "$ref") {
        const target = String(value).replace("#/", "").split("/");
        const found = target.reduce<unknown>((at, step) => (at as Record<string, unknown>)?.[step], document);
        if (found === undefined) missing.push(String(value));
      }
      return value;
    });
    expect(missing).toEqual([]);
    const schemes = operations.flatMap(({ operation }) => operation.security ?? []).flatMap(Object.keys);
    expect([...new Set(schemes)]).toEqual(Object.keys(document.components.securitySchemes));
  });

  test("has every route of the server but the pages", async () => {
    const app = await createApp(services({}), true);
    const pages =
      /^(GET \/(:tenant(\/logo|\/site\.js)?|\w+\.(js|d\.ts|txt|ico)|openapi\.json|assets\/.+)?|WS .*)$/;
    const routes = app.routes
      .map(({ method, path }) => `${method} ${path}`)
      .filter((route) => !pages.test(route))
      .map((route) => route.replace(/:(\w+)/g, "{$1}"));
    expect(operations.map(({ name }) => name).sort()).toEqual(routes.sort());
  });
});

/** Makes one call and holds what comes back against what the document says of it. */
async function asDocumented(
  route: string,
  status: number,
  request: Parameters<typeof call>[3] = {},
  path = "",
) {
  const [method = "", template = ""] = route.split(" ");
  const operation = document.paths[template]?.[method.toLowerCase()] as Operation;
  const response = await call(site.url, method, path || template.replace("{tenant}", "default"), request);
  const text = await response.text();
  expect({ status: response.status, text }).toMatchObject({ status });
  const { content = {} } = operation.responses[status] ?? {};
  expect(operation.responses, route).toHaveProperty(`${status}`);
  if (Object.keys(content).length === 0) {
    expect(text).toBe("");
    return undefined;
  }
  const type = (response.headers.get("content-type") ?? "").split(";")[0] as string;
  expect(Object.keys(content)).toContain(type);
  const body: unknown = type.startsWith("text/") ? text : JSON.parse(text);
  expect(mistakes(content[type]?.schema as Schema, body)).toEqual([]);
  return body;
}

describe("what is answered is what the document says", () => {
  let token: string;
  const accept = { accept: "application/json" };
  const idOf = (body: unknown) => (body as { turn: { id: string; conversation_id: string } }).turn;
  beforeAll(async () => {
    token = await site.visitor();
  });

  test("of the server itself", async () => {
    await asDocumented("GET /healthz", 200);
    await asDocumented("GET /readyz", 200);
  });

  test("of a turn, whole, thinking, running, stopped and failed", async () => {
    const body = { message: "Hi" };
    const post = "POST /v1/{tenant}/turns";
    await asDocumented("POST /v1/{tenant}/visitors", 201, { body: {} });
    await asDocumented(post, 200, { token, body });
    site.model.next([{ reasoning: "hm" }, ...answer("so")]);
    await asDocumented(post, 200, { token, body, headers: accept });
    site.hold([{ text: "so" }]);
    const running = idOf(
      await asDocumented(post, 202, { token, body, headers: { prefer: "respond-async" } }),
    );
    const at = `/v1/default/turns/${running.id}`;
    await asDocumented("GET /v1/{tenant}/turns/{id}", 200, { token }, at);
    await site.said(token, running.id, "so");
    await asDocumented("POST /v1/{tenant}/turns/{id}/stop", 200, { token }, `${at}/stop`);
    await asDocumented("GET /v1/{tenant}/turns/{id}/stream", 200, { token }, `${at}/stream`);
    await asDocumented("GET /v1/{tenant}/turns/{id}/stream", 204, { token }, `${at}/stream?after=2`);
    site.model.next({ status: 401 });
    const failed = (await asDocumented(post, 502, { token, body, headers: accept })) as { turn_id: string };
    const failedAt = `/v1/default/turns/${failed.turn_id}`;
    await asDocumented("GET /v1/{tenant}/turns/{id}", 200, { token }, failedAt);
  });

  test("of conversations", async () => {
    const { conversation_id } = await site.ask(token, "Hi");
    const at = `/v1/default/conversations/${conversation_id}`;
    const one = "/v1/{tenant}/conversations/{id}";
    await asDocumented("GET /v1/{tenant}/conversations", 200, { token });
    await asDocumented("GET /v1/{tenant}/conversations", 200, { token }, "/v1/default/conversations?limit=1");
    await asDocumented(`GET ${one}`, 200, { token }, at);
    await asDocumented(`PATCH ${one}`, 200, { token, body: { title: "New" } }, at);
    await asDocumented(`DELETE ${one}`, 204, { token }, at);
  });

  test("of feedback and of a visitor's own data", async () => {
    const context = { url: "https://shop.example/", fields: { sku: "L-1" } };
    const turn = idOf(
      await asDocumented("POST /v1/{tenant}/turns", 200, {
        token,
        body: { message: "Hi", context },
        headers: { accept: "application/json" },
      }),
    );
    const feedback = "PUT /v1/{tenant}/turns/{id}/feedback";
    const at = `/v1/default/turns/${turn.id}/feedback`;
    await asDocumented(feedback, 200, { token, body: { rating: "up", comment: "Thanks" } }, at);
    await asDocumented(feedback, 422, { token, body: { rating: "sideways" } }, at);
    const mine = "GET /v1/{tenant}/visitors/me/export";
    await asDocumented(mine, 200, { token });
    await asDocumented(mine, 200, { token, headers: { accept: "text/markdown" } });
    await asDocumented(mine, 406, { token, headers: { accept: "text/html" } });
    await asDocumented("DELETE /v1/{tenant}/visitors/me", 204, { token });
  });

  test("of what is refused", async () => {
    const turns = "POST /v1/{tenant}/turns";
    const list = "GET /v1/{tenant}/conversations";
    await asDocumented(turns, 400, { token, body: "{" });
    await asDocumented(turns, 401, { body: { message: "Hi" } });
    await asDocumented(turns, 404, { token, body: { message: "Hi", conversation_id: "x" } });
    await asDocumented(turns, 406, { token, body: { message: "Hi" }, headers: { accept: "text/html" } });
    await asDocumented(turns, 413, { token, body: "x".repeat(70_000) });
    await asDocumented(turns, 415, { token, body: "{}", headers: { "content-type": "text/plain" } });
    await asDocumented(turns, 422, { token, body: { message: "" } });
    await asDocumented(turns, 422, { token, body: {} });
    await asDocumented(list, 400, { token }, "/v1/default/conversations?limit=0");
    await asDocumented(list, 401);
    await asDocumented("POST /v1/{tenant}/visitors", 404, { body: {} }, "/v1/nobody/visitors");
    const { releaseAll } = site.hold([{ text: "wait" }]);
    const { conversation_id } = await site.begin(token, "Hi");
    await asDocumented(turns, 409, { token, body: { message: "Hi", conversation_id } });
    releaseAll();
  });
});
