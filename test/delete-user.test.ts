// `cip delete-user` leaves nothing of a user but counters, and says what it did.
import { expect, test } from "bun:test";
import postgres from "postgres";
import { tablesWith } from "./archive.ts";
import { drain } from "./client.ts";
import { run } from "./server.ts";
import { startSite } from "./site.ts";
import { atTheEnd, until } from "./support.ts";

const apiKey = "a-key-of-the-shop-for-its-own-backend";

test("nothing is found of the user in any column of any table, an answer under way included", async () => {
  const site = await startSite({
    env: { API_KEYS: apiKey, DAILY_TOKENS_MAX: "1000000", LIMIT_MESSAGES_PER_VISITOR: "99/1m" },
  });
  const sql = postgres(site.databaseUrl, { max: 1, onnotice: () => {} });
  atTheEnd(() => sql.end());
  const ask = (user_id: string, message: string) =>
    site.on("POST", "/turns", {
      token: apiKey,
      headers: { accept: "application/json" },
      body: { user_id, message },
    });
  await ask("ann@shop.example", "Words of Ann");
  await ask("bob", "Words of Bob");
  await sql`
    insert into users (tenant_id, id, name, email)
    values ('default', 'user:ann@shop.example', 'Ann Miller', 'ann@mail.example')`;
  const { releaseAll } = site.hold([{ text: "An answer to Ann" }]);
  const reader = site
    .on("POST", "/turns", {
      token: apiKey,
      headers: { accept: "text/event-stream" },
      body: { user_id: "ann@shop.example", message: "More of Ann" },
    })
    .then(drain);
  const traces = ["ann@shop.example", "Ann Miller", "ann@mail.example", "of Ann", "to Ann"];
  await until(async () => (await tablesWith(sql, "to Ann")).length > 0, "the answer is checkpointed");
  expect((await tablesWith(sql, ...traces)).length).toBeGreaterThan(4);

  const place = { env: { DATABASE_URL: site.databaseUrl } };
  const { exitCode, stdout, stderr } = await run(["delete-user", "default", "ann@shop.example"], place);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toBe(
    "Deleted 2 conversations with 2 turns, and name and e-mail address, of the user ann@shop.example of default.\n",
  );
  expect(await tablesWith(sql, ...traces)).toEqual([]);
  releaseAll();
  await reader.catch(() => {});
  await ask("bob", "Words of Bob again");
  expect(await tablesWith(sql, ...traces)).toEqual([]);
  expect(await tablesWith(sql, "Words of Bob")).not.toEqual([]);
  expect((await sql`select from budgets where tokens > 0`).length).toBe(1);

  const again = await run(["delete-user", "default", "ann@shop.example"], place);
  expect([again.exitCode, again.stdout]).toEqual([
    0,
    "Nothing is stored of the user ann@shop.example of default.\n",
  ]);
});

test("an anonymous user is named as such, and one of the same id that the site vouches for is not touched", async () => {
  const site = await startSite({ env: { API_KEYS: apiKey } });
  const token = await site.visitor();
  const { conversation_id } = await site.ask(token, "Nobody knows me");
  const { conversation } = await site.conversation(token, conversation_id);
  const place = { env: { DATABASE_URL: site.databaseUrl } };
  const said = async (...args: string[]) =>
    (await run(["delete-user", "default", conversation.user_id, ...args], place)).stdout;
  expect(await said()).toStartWith("Nothing is stored");
  expect(await said("--anonymous")).toStartWith("Deleted 1 conversation with 1 turn of");
  const wrong = await run(["delete-user", "default", "ann", "--anonymous"], place);
  expect([wrong.exitCode, wrong.stderr]).toEqual([2, "cip: The id of an anonymous user is a UUID.\n"]);
});

test("what was mistyped does not pass for a user who is deleted", async () => {
  const site = await startSite();
  await site.ask(await site.visitor(), "Hi");
  const said = (...args: string[]) =>
    run(["delete-user", ...args], { env: { DATABASE_URL: site.databaseUrl } });
  expect(await said("default", "42")).toMatchObject({ exitCode: 0, stderr: "" });
  expect((await said("defualt", "42")).stderr).toContain(
    "nor is anything of anybody else of a tenant defualt",
  );
  expect((await said("default", Bun.randomUUIDv7())).stderr).toContain("needs --anonymous");
  expect(await said("default", "")).toMatchObject({ exitCode: 2, stdout: "" });
});

test("where a server has the embedded database, the refusal names the call that does the same", async () => {
  const { server } = await startSite({}, "embedded");
  const { exitCode, stderr } = await run(["delete-user", "default", "ann@shop.example"], { cwd: server.cwd });
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`Another cip (process ${server.pid})`);
  expect(stderr).toContain("DELETE /v1/default/visitors/me?user_id=ann%40shop.example");
});
