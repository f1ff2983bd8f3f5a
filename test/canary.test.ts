// A canary in every secret setting, wherever a secret may be set, and everything a server can be made to say.
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { settings } from "../src/config/settings.ts";
import { browser, page } from "./browser.ts";
import { canary, silent, watch } from "./canary.ts";
import { statusLogged } from "./chat.ts";
import { call, drain } from "./client.ts";
import { answer, type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { type Place, run, type Server, startServer } from "./server.ts";
import { siteOf } from "./site.ts";
import { repository, temporaryFolder, until } from "./support.ts";
import { openSocket } from "./websocket.ts";

const secrets = Object.entries(settings).flatMap(([name, { secret, scope }]) =>
  secret ? [{ name, scope }] : [],
);
const fallback = "LLM_FALLBACK_MODEL=scripted";

type Form = "text" | "file";
type Secrets = Record<string, string>;

/** The settings `given` as lines of a file, or as files of their own that its lines name. */
function written(given: Secrets, form: Form, place: string) {
  const files: Record<string, string> = {};
  const lines = Object.entries(given).map(([name, value]) => {
    if (form === "text") return `${name}=${value}`;
    files[`secrets/${place}-${name}`] = `${value}\n`;
    return `${name}_FILE=secrets/${place}-${name}`;
  });
  return { files, lines };
}

/** An installation in which every secret is a canary: the instance's and a tenant's own ones. */
async function installation(form: Form, model: ScriptedModel) {
  const database = new URL(await (await postgresCluster()).createDatabase());
  watch("DATABASE_URL", database.password);
  const made = (of: typeof secrets, place: string) =>
    Object.fromEntries(of.map(({ name }) => [name, canary(`${name} of ${place}`)]));
  const instance = { ...made(secrets, `.env, as ${form}`), DATABASE_URL: database.href };
  const tenant = made(
    secrets.filter(({ scope }) => scope === "tenant"),
    `acme, as ${form}`,
  );
  const shared = [
    `LLM_BASE_URL=${model.baseUrl}`,
    "LLM_MODEL=scripted",
    `LLM_FALLBACK_BASE_URL=${model.baseUrl}`,
  ];
  const base = written(instance, form, "instance");
  const own = written(tenant, form, "acme");
  const place: Place = {
    cwd: temporaryFolder(),
    // What the harness sets would go before the files.
    env: { LOG_LEVEL: "trace", API_KEYS: "" },
    files: { ".env": [...base.lines, ...shared, fallback].join("\n"), ...base.files, ...own.files },
    tenants: { acme: own.lines.join("\n"), plain: "IDENTITY=required" },
  };
  return { place, instance, tenant, database };
}

/** Answers with what it was sent: as a refusal, in the middle of the stream, or as something that is no JSON. */
function parrot(model: ScriptedModel): void {
  let calls = 0;
  model.always((request) => {
    const key = model.calls.at(-1)?.headers.authorization?.split(" ")[1];
    const heard = JSON.stringify({ headers: model.calls.at(-1)?.headers, user: request.user });
    const error = { error: { message: `You sent ${heard}`, code: heard, param: heard, type: heard } };
    const ways = [
      { status: 401, headers: { "x-echo": heard }, body: JSON.stringify(error) },
      { status: 500, headers: { "retry-after": "60" }, body: heard },
      [{ text: "Well, " }, { raw: `data: ${JSON.stringify(error)}\n\n` }],
      [{ text: "Well, " }, { raw: `data: ${"x".repeat(150)}${key}\n\n` }],
      [{ text: "Well, " }, { drop: true as const }],
      answer("Well, ", "yes."),
    ];
    return ways[calls++ % ways.length] ?? answer();
  });
}

type Operation = { method: string; path: string };

/** Every operation of the server's own document, with input that is right and input that is not. */
async function askEverything(server: Server, ids: { turn: string; conversation: string }, bearers: string[]) {
  const document = (await (await call(server.url, "GET", "/openapi.json")).json()) as {
    paths: Record<string, object>;
  };
  const operations: Operation[] = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({ path, method: method.toUpperCase() })),
  );
  expect(operations.length).toBeGreaterThan(10);
  const bodies = [{}, { message: "Hi" }, { message: 1 }, { title: "x" }, { identity: "a.b.c" }, "{", "[]"];
  for (const { method, path } of operations) {
    for (const tenant of ["acme", "nobody"]) {
      const parent = path.includes("/turns/") ? ids.turn : ids.conversation;
      for (const id of path.includes("{id}") ? [parent, "%00", Bun.randomUUIDv7()] : [""]) {
        const address = path.replace("{tenant}", tenant).replace("{id}", id);
        // What is deleted could not be asked for any more.
        if (method === "DELETE" && id === parent) continue;
        for (const bearer of bearers)
          for (const body of method === "GET" || method === "DELETE" ? [undefined] : bodies)
            await (await call(server.url, method, address, { token: bearer, body })).text();
      }
    }
  }
  for (const address of [
    "/",
    "/acme",
    "/nobody",
    "/embed.js",
    "/no/such",
    "/healthz",
    "/readyz",
    "/acme?x=%00",
  ])
    await (await call(server.url, "GET", address)).text();
}

describe.each<Form>(["text", "file"])("secrets given as %s", (form) => {
  test("come out nowhere: in no answer, page, storage or log line, whatever goes wrong", async () => {
    const model = await scriptedModel();
    const { place, instance, tenant, database } = await installation(form, model);
    const server = await startServer(place);
    const site = siteOf(server.url, "acme");
    const token = await site.visitor();
    const first = await site.ask(token, "Hi");
    expect(model.calls[0]?.headers.authorization).toBe(`Bearer ${tenant.LLM_API_KEY}`);

    parrot(model);
    const ids = { turn: first.id, conversation: first.conversation_id };
    for (let i = 0; i < 6; i++) await drain(await site.stream(token, "Hi"));
    const socket = await openSocket(server.url, token, "acme");
    silent(JSON.stringify([await socket.say({ type: "turn", message: "Hi" }), socket.refused]), "the socket");
    socket.close();
    for (const secret of Object.values({ ...instance, ...tenant }))
      await (await site.on("GET", "/conversations", { token: secret })).text();
    await askEverything(server, ids, ["", token, tenant.API_KEYS ?? ""]);

    await visit(server, model);
    await breakTheDatabase(site, token, database);
    const held = Promise.withResolvers<void>();
    model.next([{ text: "Well, " }, { hold: held.promise }]);
    await site.begin(token, "Hi");
    expect(await server.stop()).toBe(0);
    held.resolve();
    const log = server.stdout() + server.stderr();
    expect(log).toContain('"level":"error"');
    expect(log).toContain("model_unauthorized");
    silent(log, "the log");
  });
});

test("secrets come out in no word of the command line, and in no failure to start", async () => {
  const model = await scriptedModel();
  const { place, database } = await installation("text", model);
  const at = (change: Partial<URL>) => ({
    DATABASE_URL: Object.assign(new URL(database.href), change).href,
  });
  const attempts: [args: string[], env: Record<string, string>, status: number][] = [
    [["--help"], {}, 0],
    [["--version"], {}, 0],
    [["health"], { PORT: "1" }, 1],
    [["--role", "nobody"], {}, 2],
    [[], at({ username: "nobody" }), 1],
    [[], at({ pathname: "/nowhere" }), 1],
    [[], at({ port: "1" }), 1],
    [[], at({ hostname: "nowhere.invalid" }), 1],
    [[], { PORT: "many" }, 1],
  ];
  for (const [args, env, status] of attempts) {
    const { exitCode, stdout, stderr } = await run(args, { ...place, env: { ...place.env, ...env } });
    expect({ args, env, exitCode, stderr }).toMatchObject({ exitCode: status });
    silent(stdout + stderr, `cip ${args.join(" ")}`);
  }
  // Each secret in a line that is wrong in another way.
  const text = readFileSync(join(place.cwd ?? "", ".env"), "utf8");
  for (const broken of [
    text.replaceAll("=", "#="),
    text.replaceAll("=", " "),
    text.replaceAll("=", "=#"),
    `${text}"`,
  ]) {
    writeFileSync(join(place.cwd ?? "", ".env"), broken);
    const { stdout, stderr } = await run(["health"], { cwd: place.cwd ?? "", env: place.env ?? {} });
    silent(stdout + stderr, "what is said of a broken file");
  }
});
test("what a library hangs on an error stays out of the log", async () => {
  const words = canary("an error's fields");
  const script = `
    const { log } = await import(${JSON.stringify(join(repository, "src/log.ts"))});
    const fields = { headers: { authorization: words }, body: words, query: words, parameters: [words], detail: words, where: words };
    log.error({ err: Object.assign(new Error("it failed"), fields), authorization: words, request: fields.headers }, "said");`;
  const child = Bun.spawnSync([process.execPath, "-e", `const words = "${words}";${script}`]);
  const said = child.stderr.toString();
  expect(said).toContain("it failed");
  silent(said, "the log");
});

/** The chat page as a person meets it, and all that it loads and keeps. */
async function visit(server: Server, model: ScriptedModel): Promise<void> {
  model.next(answer("Well, ", "yes."));
  const opened = await page(await browser(), { expected: [statusLogged(502), statusLogged(401)] });
  const bodies: Promise<string>[] = [];
  opened.on("response", (response) => {
    bodies.push(response.text().catch(() => ""));
    bodies.push(response.allHeaders().then(JSON.stringify, () => ""));
  });
  await opened.goto(`${server.url}/acme`);
  await opened.getByRole("textbox").first().fill("Hi");
  await opened.keyboard.press("Enter");
  await opened.getByText("Well, yes.").waitFor();
  bodies.push(opened.content());
  bodies.push(
    opened.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])),
  );
  bodies.push(opened.context().storageState({ indexedDB: true }).then(JSON.stringify));
  for (const body of await Promise.all(bodies)) silent(body, "the page");
}

/** Statements that fail, rows that are refused, connections that end. */
async function breakTheDatabase(site: ReturnType<typeof siteOf>, token: string, url: URL): Promise<void> {
  const words = canary("a visitor's words");
  const as = new URL((await postgresCluster()).superuserUrl);
  as.pathname = url.pathname;
  const sql = postgres(as.href, { max: 1, onnotice: () => {} });
  try {
    await sql`alter table turns add constraint no_such_words check (message not like 'canary-%')`;
    expect((await site.on("POST", "/turns", { token, body: { message: words } })).status).toBe(500);
    await sql`alter table turns rename to elsewhere`;
    expect((await site.stream(token, words)).status).toBe(500);
    await sql`alter table elsewhere rename to turns`;
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cip' and datname = current_database()`;
    await until(async () => (await site.on("GET", "/conversations", { token })).ok, "the database is back");
  } finally {
    await sql.end();
  }
}
