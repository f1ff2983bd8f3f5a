// Two sites on one server, and two visitors of one site: over HTTP none of them reads or changes what is another's.
import { beforeAll, describe, expect, test } from "bun:test";
import { allRoutes, guardedRoutes, type Route, tryRoute } from "./routes.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";

type Client = ReturnType<typeof siteOf>;

let site: Site;
let acme: Client;
let globex: Client;
let routes: Route[];
beforeAll(async () => {
  site = await startSite({ tenants: { acme: "TENANT_NAME=Acme", globex: "TENANT_NAME=Globex" } });
  acme = siteOf(site.url, "acme");
  globex = siteOf(site.url, "globex");
  routes = await guardedRoutes(site.url);
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

/** Calls every route that needs a visitor, once for each of the victim's ids, and shows each answer to `check`. */
async function tryAll(
  tenant: string,
  token: string,
  { conversation_id: conversationId, ids }: Awaited<ReturnType<typeof victim>>,
  check: (response: Response, route: Route) => Promise<unknown>,
) {
  for (const route of routes) {
    for (const id of route.path.includes("{id}") ? ids : [""])
      await check(await tryRoute(site.url, route, { tenant, token, conversationId, id }), route);
  }
}

/** A route for the caller's own data shows or deletes nothing, for there is none. */
async function expectNothing(response: Response): Promise<void> {
  const text = await response.text();
  expect([200, 204]).toContain(response.status);
  if (text) expect(JSON.parse(text)).toMatchObject({ conversations: [] });
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

test("every route but those for anybody needs a visitor", async () => {
  const free = (await allRoutes(site.url)).filter(({ security }) => !security).map(({ name }) => name);
  expect(free.sort()).toEqual([
    "GET /healthz",
    "GET /healthz/probe",
    "GET /readyz",
    "POST /v1/{tenant}/visitors",
  ]);
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
        if (method !== "POST") return expectNothing(response);
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
        method === "POST" || path.includes("{id}")
          ? expectProblem(response, 404, "not_found")
          : expectNothing(response),
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
