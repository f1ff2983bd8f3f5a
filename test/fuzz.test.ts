// The OpenAPI document against hostile clients: whatever is sent to whichever operation, the answer is a documented
// one, it comes, and the server goes on.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { call } from "./client.ts";
import { mistakes, type Schema } from "./jsonschema.ts";
import { type Site, startSite } from "./site.ts";
import { within } from "./support.ts";

type Content = Record<string, { schema: Schema }>;
type Operation = {
  parameters?: { name: string; in: string; schema: Schema }[];
  requestBody?: { content: Content };
  responses: Record<string, { content?: Content }>;
};
type Named = { method: string; template: string; operation: Operation };
type Sent = { path: string; token: string | undefined; headers: Record<string, string>; body: unknown };

/** The same requests every time; fast-check prints it, with the shortest that fails. */
const seed = 20_261_122;
/** Of each operation, in this time at most, so that a slow machine sends fewer and not longer. */
const runs = { numRuns: 60, interruptAfterTimeLimit: 150, seed };
/** The one that takes its time, for that is what it is there to show. */
const slow = { ...runs, numRuns: 3, interruptAfterTimeLimit: 10_000 };

const apiKey = "a-key-of-the-site's-backend-0123456789";
const nasty = [
  "\0",
  "\ud800",
  "\u202e",
  "👩‍👩‍👧",
  " ",
  "'; drop table turns; --",
  "{{prompt}}",
  "../../etc/passwd",
  "__proto__",
  "constructor",
  "<script>alert(1)</script>",
  "\r\nset-cookie: a=b",
  "%00%n%s",
  "-1",
  "1e400",
  "9".repeat(400),
  "NaN",
  "user:x",
  "x".repeat(9_000),
];
/** Times that a schema takes and that are none, or none to a database. */
const times = [
  "2026-02-30",
  "2026-13-01",
  "0000-01-01",
  "0001-01-01T00:00:00+01:00",
  "9999-12-31T23:59:59-23:59",
  "9999-12-31T23:59:60Z",
];
const isTime = ({ pattern }: Schema) => String(pattern).startsWith("^\\d{4}-");
const hostile = fc.oneof(
  fc.constantFrom(...nasty),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.string({ maxLength: 40 }),
);

/** What the schema describes; texts are `known` ones more often than not. */
function valid(schema: Schema, known: readonly string[]): fc.Arbitrary<unknown> {
  const { anyOf, enum: choices, type, properties = {}, required = [] } = schema as Record<string, never>;
  if (anyOf) return fc.oneof(...(anyOf as Schema[]).map((one) => valid(one, known)));
  if ("const" in schema) return fc.constant(schema.const);
  if (choices) return fc.constantFrom(...(choices as unknown[]));
  if (type === "object") {
    const fields = Object.entries(properties as Record<string, Schema>);
    const arbitraries = Object.fromEntries(fields.map(([name, field]) => [name, valid(field, known)]));
    return fc.record(arbitraries, { requiredKeys: required });
  }
  if (type === "array") return fc.array(valid(schema.items as Schema, known), { maxLength: 3 });
  if (type === "integer" || type === "number") {
    const { minimum = 0, maximum = 1_000 } = schema as { minimum?: number; maximum?: number };
    return fc.integer({ min: minimum, max: maximum });
  }
  if (type === "boolean") return fc.boolean();
  if (type === "null") return fc.constant(null);
  if (isTime(schema)) return fc.constantFrom(...times);
  return fc.oneof(fc.constantFrom(...known), fc.string({ minLength: 1, maxLength: 40 }));
}

/** The same with one field wrong, missing or too much. */
function nearly(schema: Schema, known: readonly string[]): fc.Arbitrary<unknown> {
  const names = Object.keys((schema.properties ?? {}) as object);
  const field = fc.constantFrom(...names, "extra", "__proto__");
  return fc
    .tuple(valid(schema, known), field, fc.oneof(hostile, fc.jsonValue(), fc.constant(undefined)))
    .map(([value, name, other]) =>
      typeof value === "object" && value !== null ? { ...value, [name]: other } : other,
    );
}

function bodies(schema: Schema, known: readonly string[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 5, arbitrary: valid(schema, known).map((value) => JSON.stringify(value)) },
    { weight: 4, arbitrary: nearly(schema, known).map((value) => JSON.stringify(value) ?? "") },
    { weight: 5, arbitrary: fc.constantFrom("{}", '{"message":"Hi"}', '{"title":"Hi"}', '{"rating":"up"}') },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
    { weight: 1, arbitrary: fc.constantFrom("", "{", "[".repeat(5_000), `"${"x".repeat(70_000)}"`) },
  );
}

/** What a header may hold (RFC 9110, 5.5), and no client would put there. */
const headerText = fc.oneof(
  fc.constantFrom(
    "*/*",
    "application/json",
    "text/event-stream",
    "respond-async",
    "0",
    "identity",
    "a;b=c,d",
  ),
  fc
    .string({
      unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
      maxLength: 60,
    })
    .map((text) => text.replaceAll("\x7f", "").trim()),
  fc.constant("x".repeat(1_000)),
);
const headerNames =
  "accept accept-language content-type content-encoding cookie forwarded idempotency-key if-none-match last-event-id origin prefer range x-forwarded-for x-forwarded-proto x-http-method-override x-request-id".split(
    " ",
  );
const headers = fc.dictionary(fc.constantFrom(...headerNames), headerText, { maxKeys: 4 });

function requests({ template, operation }: Named, known: readonly string[], tokens: readonly string[]) {
  const named = operation.parameters ?? [];
  const inPath = named.filter((parameter) => parameter.in === "path").map(({ name }) => name);
  const inQuery = named.filter((parameter) => parameter.in === "query");
  const textOf = (name: string) =>
    fc
      .oneof({ weight: 4, arbitrary: fc.constantFrom(...(name === "tenant" ? ["default"] : known)) }, hostile)
      .map((text) => text.toWellFormed())
      .filter((text) => !["", ".", ".."].includes(text.trim())); // of these a client makes another address
  const query = inQuery.map(({ name, schema }) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      fc.tuple(fc.constant(name), fc.oneof({ weight: 3, arbitrary: valid(schema, known) }, hostile)),
    ),
  );
  const schema = operation.requestBody?.content["application/json"]?.schema;
  return fc
    .record({
      params: fc.tuple(...inPath.map(textOf)),
      query: fc.tuple(...query),
      token: fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom(...tokens) },
        { weight: 2, arbitrary: fc.constant(undefined) },
        fc.constantFrom("x", "a.b.c"),
      ),
      headers: fc.oneof(fc.constant({}), headers),
      body: schema ? bodies(schema, known) : fc.constant(undefined),
    })
    .map(({ params, query, token, headers, body }): Sent => {
      const path = inPath.reduce(
        (at, name, i) => at.replace(`{${name}}`, encodeURIComponent(params[i] as string)),
        template,
      );
      const pairs = query.flatMap((pair) => (pair ? [[pair[0], String(pair[1]).toWellFormed()]] : []));
      return { path: `${path}?${new URLSearchParams(pairs)}`, token, headers, body };
    })
    .filter(({ path }) => path.length < 8_000); // longer heads are refused before anything is routed
}

/** What chance seldom makes: each of the times alone, from who may ask for one. */
function pinned({ template, operation: { parameters = [] } }: Named): [Sent][] {
  const path = template.replace("{tenant}", "default");
  return parameters
    .filter(({ schema }) => isTime(schema))
    .flatMap(({ name }) => times.map((time) => `${path}?${new URLSearchParams({ [name]: time })}`))
    .map((path) => [{ path, token: apiKey, headers: {}, body: undefined }]);
}

/** Sends it, and holds what comes back against the document. */
async function check(site: Site, { method, operation }: Named, sent: Sent, told: Set<number>) {
  const { path, token, headers, body } = sent;
  const request = { headers, body, ...(token !== undefined && { token }) };
  const answer = await within(call(site.url, method, path, request), `${method} ${path} is answered`);
  const text = await within(answer.text(), `${method} ${path} is answered whole`);
  const { status } = answer;
  told.add(status);
  const said = `${status} ${text.slice(0, 300)}`;
  expect(status === 503 || status < 500, said).toBe(true);
  expect(Object.keys(operation.responses), said).toContain(String(status));
  const content = operation.responses[status]?.content ?? {};
  const type = answer.headers.get("content-type")?.split(";")[0] ?? "";
  if (Object.keys(content).length === 0) return expect(text).toBe("");
  expect(Object.keys(content), said).toContain(type);
  if (type.endsWith("json"))
    expect(mistakes(content[type]?.schema as Schema, JSON.parse(text)), said).toEqual([]);
}

describe.each([
  ["PostgreSQL", undefined],
  ["PGlite", "embedded"],
])("on %s", (_name, database) => {
  test("every answer to every operation is a documented one", async () => {
    const site = await startSite({ env: { API_KEYS: apiKey } }, database);
    const document = (await (await call(site.url, "GET", "/openapi.json")).json()) as {
      paths: Record<string, Record<string, Operation>>;
    };
    const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        method: method.toUpperCase(),
        template,
        operation,
      })),
    );
    expect(operations.length).toBeGreaterThan(10);
    const token = await site.visitor();
    const { id, conversation_id } = await site.ask(token, "Hi");
    const other = await site.visitor();
    const stranger = await site.ask(other, "Hi");
    const known = [id, conversation_id, stranger.id, "Hi"];
    const told = new Set<number>();
    // Last those after which there is less for the others.
    for (const named of operations.sort(
      (a, b) => Number(a.method === "DELETE") - Number(b.method === "DELETE"),
    )) {
      const sent = requests(named, known, [token, other, apiKey]);
      await fc.assert(
        fc.asyncProperty(sent, (request) => check(site, named, request, told)),
        { ...(named.template === "/healthz/probe" ? slow : runs), examples: pinned(named) },
      );
    }
    // It was not all refused at the door.
    expect([...told]).toEqual(expect.arrayContaining([200, 400, 401, 404, 422]));
    await site.ask(await site.visitor(), "after all that");
    expect(site.server.stdout() + site.server.stderr()).not.toContain("unexpectedly");
  });
});
