// The test support, proved: what the other tests lean on must itself be able to fail.
import { describe, expect, test } from "bun:test";
import { chmodSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { browser, page } from "./browser.ts";
import { drain } from "./client.ts";
import { answer, type Call, type Script, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { startServer } from "./server.ts";
import { repository, temporaryFolder, until, untilItExits, within } from "./support.ts";

describe("PostgreSQL", () => {
  test("every database is new, and its owner makes roles but is no superuser", async () => {
    const cluster = await postgresCluster();
    const urls = [await cluster.createDatabase(), await cluster.createDatabase()];
    for (const url of urls) {
      const sql = postgres(url, { max: 1 });
      try {
        const [me] = await sql`
          select rolsuper, rolbypassrls, rolcreaterole, current_setting('server_version_num')::int / 10000 as version
          from pg_roles where rolname = current_user`;
        expect(me).toEqual({ rolsuper: false, rolbypassrls: false, rolcreaterole: true, version: 18 });
        await sql`create table mine (id int)`;
      } finally {
        await sql.end();
      }
    }
  });

  test("a wrong password is refused", async () => {
    const url = new URL(await (await postgresCluster()).createDatabase());
    url.password = "wrong";
    const sql = postgres(url.href, { max: 1 });
    await expect((async () => await sql`select 1`)()).rejects.toMatchObject({ code: "28P01" });
    await sql.end();
  });
});

describe("the scripted model", () => {
  const ask = (baseUrl: string, content: string, signal?: AbortSignal) =>
    fetch(`${baseUrl}/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer key" },
      body: JSON.stringify({ model: "m", messages: [{ role: "user", content }], stream: true }),
      signal: signal ?? null,
    });

  test("echoes the last message unless scripted, and records what it was asked", async () => {
    const model = await scriptedModel();
    const text = await (await ask(model.baseUrl, "two words")).text();
    const deltas = text.split("\n\n").filter((line) => line.includes('"content"'));
    expect(deltas.map((line) => JSON.parse(line.slice(6)).choices[0].delta.content)).toEqual([
      "echo: ",
      "two ",
      "words",
    ]);
    expect(text).toContain('"finish_reason":"stop"');
    expect(text).toEndWith("data: [DONE]\n\n");
    expect(model.calls[0]).toMatchObject({ headers: { authorization: "Bearer key" }, body: { model: "m" } });
    expect(await model.calls[0]?.ended).toBe("sent");
    model.close();
  });

  test("performs its scripts in order: a refusal, bytes as given, a dropped connection", async () => {
    const model = await scriptedModel();
    const scripts: Script[] = [
      { status: 429, headers: { "retry-after": "3" }, body: "slow down" },
      [{ raw: "data: {nonsense\n\n" }],
      [{ text: "half" }, { pauseMs: 20 }, { drop: true }],
    ];
    for (const script of scripts) model.next(script);
    const refused = await ask(model.baseUrl, "1");
    expect([refused.status, refused.headers.get("retry-after"), await refused.text()]).toEqual([
      429,
      "3",
      "slow down",
    ]);
    expect(await (await ask(model.baseUrl, "2")).text()).toBe("data: {nonsense\n\n");
    const dropped = await ask(model.baseUrl, "3");
    await expect(dropped.text()).rejects.toThrow();
    expect(await model.calls[2]?.ended).toBe("broken");
    model.close();
  });

  test("holds an answer until it is let go, and knows when the client has gone", async () => {
    const model = await scriptedModel();
    const gate = Promise.withResolvers<void>();
    model.always(() => [{ text: "a" }, { hold: gate.promise }, ...answer("b")]);
    const leaving = new AbortController();
    const held = await ask(model.baseUrl, "x");
    await ask(model.baseUrl, "y", leaving.signal);
    leaving.abort();
    const gone = (await until(() => model.calls[1], "the second call arrives")) as Call;
    expect(await within(gone.ended, "the model sees the client leave")).toBe("broken");
    gate.resolve();
    expect(await held.text()).toContain('"b"');
    model.close();
  });
});

test("a drained stream gives text, reasoning, ids and its one terminal chunk", async () => {
  const chunks = [
    { type: "start", messageMetadata: { turn_id: "t", conversation_id: "c" } },
    { type: "reasoning-delta", delta: "hm" },
    { type: "text-delta", delta: "hel" },
    { type: "text-delta", delta: "lo" },
    { type: "finish", finishReason: "stop" },
  ];
  const frames = [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"].map(
    (data) => `id: 1\ndata: ${data}\n\n`,
  );
  const reading = await drain(new Response(`: silence\n\n${frames.join("")}`));
  expect(reading).toMatchObject({ turnId: "t", conversationId: "c", text: "hello", reasoning: "hm" });
  expect(reading.terminal).toMatchObject({ type: "finish", finishReason: "stop" });
  expect(reading.frames).toHaveLength(6);
});

describe("the browser", () => {
  test("opens a page that has nothing to complain of", async () => {
    using server = serve("<title>Hello</title><p>Привет</p>");
    const window = await page(await browser(), { width: 400, height: 600 });
    await window.goto(server.url.href);
    expect(await window.textContent("p")).toBe("Привет");
    expect(await window.evaluate(() => [innerWidth, innerHeight])).toEqual([400, 600]);
  });

  test("fails a test whose page logs an error, throws one or breaks its policy", async () => {
    using server = serve(`<script>
      console.error("logged"); setTimeout(() => { throw new Error("thrown") }); fetch("http://localhost:1/");
    </script>`);
    const child = nestedRun(`
      import { test } from "bun:test";
      import { browser, page } from "${repository}/test/browser.ts";
      test("complains", async () => {
        const window = await page(await browser());
        await window.goto("${server.url.href}");
        await window.waitForTimeout(200);
      });`);
    const output = await new Response(child.stderr).text();
    expect(await child.exited).toBe(1);
    for (const complaint of ["logged", "thrown", "Content Security Policy"])
      expect(output).toContain(complaint);
  });

  function serve(body: string) {
    const policy = "default-src 'none'; script-src 'unsafe-inline'";
    const headers = { "content-type": "text/html; charset=utf-8", "content-security-policy": policy };
    return Bun.serve({ port: 0, fetch: () => new Response(`<!doctype html>${body}`, { headers }) });
  }
});

test("a server that ends at its start is reported with all that it said", async () => {
  await expect(startServer({ env: { PORT: "many" } })).rejects.toThrow(
    /ended at its start.*stderr:.*PORT must be/s,
  );
});

test("a run that is interrupted leaves no process and no folder behind", async () => {
  const child = nestedRun(`
    import { test } from "bun:test";
    import { postgresCluster } from "${repository}/test/postgres.ts";
    test("takes long", async () => {
      await postgresCluster();
      console.log("started");
      await Bun.sleep(60_000);
    });`);
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (text.includes("started")) break;
  }
  const [pidFile] = [...new Bun.Glob("cip-test-*/data/postmaster.pid").scanSync(child.folder)];
  const postmaster = Number.parseInt(await Bun.file(`${child.folder}/${pidFile}`).text(), 10);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  await until(() => !running(postmaster), "PostgreSQL is gone");
  expect(readdirSync(child.folder)).toEqual([]);
});

function running(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** `bun test` on a file with this text, in a process whose temporary files are under `folder`. */
function nestedRun(text: string) {
  const folder = temporaryFolder();
  chmodSync(folder, 0o711); // PostgreSQL, which is not root, has its data below.
  const file = join(temporaryFolder(), "nested.test.ts");
  writeFileSync(file, text);
  const child = Bun.spawn([process.execPath, "test", file], {
    cwd: repository,
    env: { ...process.env, TMPDIR: folder },
    stdout: "pipe",
    stderr: "pipe",
  });
  return Object.assign(untilItExits(child, child.exited), { folder });
}
