// While the next release starts on the same database, this one keeps serving; and it starts again on what that one left.
import { expect, test } from "bun:test";
import { drain } from "./client.ts";
import { fleet } from "./fleet.ts";
import { siteOf } from "./site.ts";
import { nextRelease } from "./tree.ts";

/** Expand: what the release before neither names nor misses. */
const expand = {
  "9001_next.sql":
    "-- What the next release wants.\nalter table turns add column next text not null default 'none';",
  "9002_next.concurrently.sql":
    "-- How it looks for it.\ncreate index concurrently turns_next on turns (tenant_id, next);",
};

test("an instance of this release answers, streams and restarts while one of the next starts and works", async () => {
  const { model, sql, start } = await fleet();
  const server = await start();
  const old = siteOf(server.url);
  const token = await old.visitor();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  model.next([
    { text: "Before " },
    { hold: held },
    { text: "and after" },
    { finish: "stop" },
    { done: true },
  ]);
  const stream = old.stream(token, "Across the upgrade");
  const reader = stream.then(drain);

  let upgraded = false;
  const asked = (async () => {
    const answers: string[] = [];
    const busy = await old.visitor();
    while (!upgraded) answers.push((await old.ask(busy, "Still there?")).answer);
    return answers;
  })();
  const next = await start({ tree: nextRelease(expand) });
  const fresh = siteOf(next.url);
  expect((await fresh.ask(token, "To the new one")).answer).toBe("echo: To the new one");
  upgraded = true;
  const answers = await asked;
  expect(new Set(answers)).toEqual(new Set(["echo: Still there?"]));
  release();
  expect(await reader).toMatchObject({ text: "Before and after", terminal: { type: "finish" } });

  expect(await server.stop()).toBe(0);
  const again = await start({ cwd: server.cwd });
  const { id } = await siteOf(again.url).ask(token, "To the old one, on the new schema");
  expect((await fresh.turn(token, id)).answer).toBe("echo: To the old one, on the new schema");
  const [row] = await sql`select next from turns where id = ${id}`;
  expect(row?.next).toBe("none");
  const [index] = await sql`select indisvalid from pg_index where indexrelid = 'turns_next'::regclass`;
  expect(index?.indisvalid).toBe(true);
  for (const { stderr } of [server, next, again]) expect(stderr()).not.toMatch(/"level":"(error|fatal)"/);
}, 120_000);
