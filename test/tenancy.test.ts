// Two sites on one server, and two visitors of one site: over HTTP none of them reads or changes what is another's.
import { beforeAll, describe, expect, test } from "bun:test";
import { call } from "./client.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";

type Client = ReturnType<typeof siteOf>;
type Operation = { security?: unknown[]; requestBody?: unknown };
type Document = { paths: Record<string, Record<string, Operation>> };
type Route = { method: string; path: string };

let site: Site;
let acme: Client;
let globex: Client;
let routes: (Route & Operation)[];
beforeAll(async () => {
  site = await startSite({ tenants: { acme: "TENANT_NAME=Acme", globex: "TENANT_NAME=Globex" } });
  acme = siteOf(site.url, "acme");
  globex = siteOf(site.url, "globex");
  const { paths } = (await (await call(site.url, "GET", "/openapi.json")).json()) as Document;
  routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      ...operation,
    })),
  );
});

const secret = "the name of my cat is Schnurr";

/** A visitor with a conversation of two turns, the second still being written, and a way to let that end. */
async function victim(client: Client) {
  const token = await client.visitor();
  const { id, conversation_id } = await client.ask(token, secret);
  const { releaseAll } = site.hold([{ text: "I will " }, { text: "remember" }]);
  const running = await client.begin(token, secret, { conversation_id });
  await client.said(token, running.id, "I will ");
  const data = async () => [
    await client.conversations(token),
    await client.conversation(token, conversation_id),
    await client.turn(token, id),
  ];
  return {
    token,
    ids: [conversation_id, id, running.id],
    conversation_id,
    running: running.id,
    data,
    releaseAll,
  };
}

/** What the routes that take a body are sent; a new one has to be named here. */
const bodies: Record<string, (conversation_id: string) => unknown> = {
  "POST /v1/{tenant}/turns": (conversation_id) => ({ message: "What is my cat's name?", conversation_id }),
  "PATCH /v1/{tenant}/conversations/{id}": () => ({ title: "Mine now" }),
};

/** Calls every route that needs a visitor, once for each of the victim's ids, and shows each answer to `check`. */
async function tryAll(
  tenant: string,
  token: string,
  prey: Awaited<ReturnType<typeof victim>>,
  check: (response: Response, route: Route) => Promise<unknown>,
) {
  // POST last, for it may make a conversation that the others would then find.
  const guarded = routes
    .filter(({ security }) => security)
    .sort((a, b) => Number(a.method === "POST") - Number(b.method === "POST"));
  expect(guarded.length).toBeGreaterThanOrEqual(8);
  for (const { method, path, requestBody } of guarded) {
    const body = bodies[`${method} ${path}`]?.(prey.conversation_id);
    expect(body !== undefined, `${method} ${path} needs a body in this test`).toBe(requestBody !== undefined);
    for (const id of path.includes("{id}") ? prey.ids : [""]) {
      const address = path.replace("{tenant}", tenant).replace("{id}", id);
      const headers = { accept: "application/json" };
      const response = await call(site.url, method, address, { token, body, headers });
      await check(response, { method, path });
    }
  }
}

/** After `attack` the victim has what it had, and its running answer comes to its end. */
async function unharmed(
  client: Client,
  prey: Awaited<ReturnType<typeof victim>>,
  attack: () => Promise<void>,
) {
  const before = await prey.data();
  await attack();
  expect(await prey.data()).toEqual(before);
  prey.releaseAll();
  expect(await client.ended(prey.token, prey.running)).toMatchObject({
    status: "done",
    answer: "I will remember",
  });
}

test("every route but those for anybody needs a visitor", () => {
  const free = routes.filter(({ security }) => !security).map(({ method, path }) => `${method} ${path}`);
  expect(free.sort()).toEqual(["GET /healthz", "GET /readyz", "POST /v1/{tenant}/visitors"]);
});

describe("a visitor of one site", () => {
  test("is nobody on the other's", async () => {
    const prey = await victim(globex);
    const stranger = await acme.visitor();
    await unharmed(globex, prey, () =>
      tryAll("globex", stranger, prey, (response) => expectProblem(response, 401, "unauthorized")),
    );
  });

  test("finds nothing of the other's on its own, whatever ids it knows", async () => {
    const prey = await victim(globex);
    const stranger = await acme.visitor();
    await unharmed(globex, prey, async () => {
      await tryAll("acme", stranger, prey, async (response, { method, path }) => {
        if (path.includes("{id}")) return expectProblem(response, 404, "not_found");
        if (method === "GET")
          return expect(await response.json()).toEqual({ conversations: [], next_cursor: null });
        // An id belongs to its site, so this is a new conversation that happens to have the same one.
        expect(response.status).toBe(200);
        return expect(await response.text()).not.toContain("Schnurr");
      });
      expect(JSON.stringify(site.model.calls.at(-1)?.body)).not.toContain("Schnurr");
    });
    const own = await acme.conversation(stranger, prey.conversation_id);
    expect(own.turns).toMatchObject([{ message: "What is my cat's name?" }]);
    expect(JSON.stringify(own)).not.toContain("Schnurr");
  });
});

describe("another visitor of the same site", () => {
  test("finds nothing, whatever ids it knows", async () => {
    const prey = await victim(globex);
    const stranger = await globex.visitor();
    const calls = site.model.calls.length;
    await unharmed(globex, prey, () =>
      tryAll("globex", stranger, prey, async (response, { method, path }) =>
        method === "GET" && !path.includes("{id}")
          ? expect(await response.json()).toEqual({ conversations: [], next_cursor: null })
          : expectProblem(response, 404, "not_found"),
      ),
    );
    expect(site.model.calls.length).toBe(calls);
  });

  test("learns from a page's cursor nothing either", async () => {
    const prey = await victim(globex);
    const stranger = await globex.visitor();
    const { conversation_id } = await globex.ask(stranger, "Mine");
    const page = await globex.conversation(stranger, conversation_id, `?before=${prey.running}`);
    expect(JSON.stringify(page)).not.toContain("Schnurr");
    const [mine] = (await globex.conversations(prey.token)).conversations;
    const cursor = `${Date.parse(mine?.updated_at ?? "").toString(36)}.${prey.conversation_id}`;
    const list = await globex.conversations(stranger, `?before=${cursor}`);
    expect(JSON.stringify(list)).not.toContain(prey.conversation_id);
    prey.releaseAll();
  });
});
