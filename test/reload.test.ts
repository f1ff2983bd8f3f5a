// Settings changed while cip runs, as the person who edits the files meets it: soon taken, never half, and no mistake
// takes a site away.
import { beforeAll, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { call, drain, visitor } from "./client.ts";
import { answer, type ScriptedModel, scriptedModel } from "./model.ts";
import { type Server, startServer } from "./server.ts";
import { until } from "./support.ts";

const titled = (title: string) => `UI_TITLE=${title}\n`;
const logged = ({ stderr }: Server, part: string) => stderr().split(part).length - 1;
const titleOf = async ({ url }: Server, tenant: string) => {
  const page = await call(url, "GET", `/${tenant}`);
  const html = await page.text();
  return page.status === 200 ? /<title>([^<]*)/.exec(html)?.[1] : page.status;
};
const shows = (server: Server, tenant: string, title: string | number) =>
  until(async () => (await titleOf(server, tenant)) === title, `${tenant} shows ${title}`);
const write = ({ cwd }: Server, path: string, text: string) =>
  writeFileSync(join(cwd, path), text, { mode: 0o600 });

describe("a tenant's file", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer({ tenants: { acme: titled("One"), globex: titled("Globex") } });
  });

  test("takes effect when it is edited, added and removed", async () => {
    write(server, "tenants/acme.env", titled("Two"));
    await shows(server, "acme", "Two");
    write(server, "tenants/new.env", titled("New"));
    await shows(server, "new", "New");
    rmSync(join(server.cwd, "tenants/new.env"));
    await shows(server, "new", 404);
    expect(await titleOf(server, "globex")).toBe("Globex");
    expect(server.stderr()).toContain('"added":["new"]');
    expect(server.stderr()).toContain('"removed":["new"]');
  });

  test("may be put in place by a rename, as editors and mv do", async () => {
    write(server, "tenants/.acme.env.tmp", titled("Renamed"));
    renameSync(join(server.cwd, "tenants/.acme.env.tmp"), join(server.cwd, "tenants/acme.env"));
    await shows(server, "acme", "Renamed");
  });

  test("with a mistake is refused once, in the words of the start, and holds no other's up", async () => {
    write(server, "tenants/acme.env", "UI_TITEL=Wrong\n");
    const told = "not taken: tenants/acme.env: UI_TITEL is no setting of cip; did you mean UI_TITLE?";
    await until(() => logged(server, told) === 1, "the mistake is told");
    write(server, "tenants/globex.env", titled("Went on"));
    await shows(server, "globex", "Went on");
    expect(await titleOf(server, "acme")).toBe("Renamed");
    expect(logged(server, told)).toBe(1);
    write(server, "tenants/acme.env", titled("Mended"));
    await shows(server, "acme", "Mended");
  });

  test("that is new and wrong makes no site until it is mended", async () => {
    write(server, "tenants/late.env", "LIMIT_READS_PER_VISITOR=many\n");
    await until(() => logged(server, "tenants/late.env") > 0, "the mistake is told");
    expect(await titleOf(server, "late")).toBe(404);
    write(server, "tenants/late.env", titled("Late"));
    await shows(server, "late", "Late");
  });

  test("that is being written is not taken before it is whole", async () => {
    const path = join(server.cwd, "tenants/acme.env");
    const before = await titleOf(server, "acme");
    truncateSync(path);
    // Who pauses for long has ended, as far as anybody can tell: a busy machine may make a pause of its own.
    for (let i = 0, wroteAt = performance.now(); i < 200; i++) {
      if (performance.now() - wroteAt > 250) break;
      appendFileSync(path, `# line ${i}\n`);
      wroteAt = performance.now();
      expect(await titleOf(server, "acme")).toBe(before);
    }
    appendFileSync(path, titled("Whole"));
    await shows(server, "acme", "Whole");
  });

  test("stays in force while its folder is gone, and while an empty one is in its place", async () => {
    const [folder, aside] = [join(server.cwd, "tenants"), join(server.cwd, "aside")];
    renameSync(folder, aside);
    await until(() => logged(server, "cannot be read (ENOENT)") > 0, "the trouble is told");
    expect(await titleOf(server, "acme")).toBe("Whole");
    mkdirSync(folder);
    await until(() => logged(server, "another one than before, and empty") > 0, "the trouble is told");
    expect(await titleOf(server, "acme")).toBe("Whole");
    rmSync(folder, { recursive: true });
    renameSync(aside, folder);
    await until(() => logged(server, "is there again") > 0, "the end of it is told");
    write(server, "tenants/acme.env", titled("Again"));
    await shows(server, "acme", "Again");
  });

  test("that was the last one leaves the site that cip has without any, unless it is only misnamed", async () => {
    for (const id of ["globex", "late"]) rmSync(join(server.cwd, `tenants/${id}.env`));
    const [acme, misnamed] = ["acme", "Acme"].map((id) => join(server.cwd, `tenants/${id}.env`)) as [
      string,
      string,
    ];
    renameSync(acme, misnamed);
    await until(async () => (await titleOf(server, "acme")) === 404, "acme is gone");
    expect(await titleOf(server, "default")).toBe(404);
    rmSync(misnamed);
    await until(async () => (await titleOf(server, "default")) !== 404, "default is there");
  });
});

test("a swapped link changes all files of the folder, as Kubernetes does", async () => {
  const server = await startServer({
    files: { "tenants/..one/acme.env": titled("One"), "tenants/README.md": "" },
    env: { TENANTS_DIR: "tenants" },
  });
  const folder = join(server.cwd, "tenants");
  symlinkSync("..one", join(folder, "..data"));
  symlinkSync("..data/acme.env", join(folder, "acme.env"));
  await shows(server, "acme", "One");
  mkdirSync(join(folder, "..two"));
  write(server, "tenants/..two/acme.env", titled("Two"));
  symlinkSync("..two", join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  await shows(server, "acme", "Two");
  rmSync(join(folder, "..two"), { recursive: true });
  await until(() => logged(server, "leads nowhere") > 0, "the link is told");
  expect(await titleOf(server, "acme")).toBe("Two");
});

describe("what tenants' files name", () => {
  let model: ScriptedModel;
  let server: Server;
  beforeAll(async () => {
    model = await scriptedModel();
    server = await startServer({
      env: { LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted" },
      files: { "prompt.md": "Be old.", key: "old-key-0123456789" },
      tenants: { a: "PROMPT_FILE=prompt.md\nLLM_API_KEY_FILE=key\n", b: "PROMPT_FILE=prompt.md\n" },
    });
  });

  const ask = async (tenant: string) => {
    const token = await visitor(server.url, tenant);
    const body = { message: "Hello" };
    return call(server.url, "POST", `/v1/${tenant}/turns`, { token, body });
  };
  const lastCall = () => {
    const { headers, body } = model.calls.at(-1) ?? {};
    return { prompt: body?.messages[0]?.content, key: headers?.authorization };
  };

  test("a prompt that several share changes for all of them, and an empty one for none", async () => {
    const said = (prompt: string) => async () => {
      for (const tenant of ["a", "b"]) {
        await drain(await ask(tenant));
        if (!lastCall().prompt?.startsWith(prompt)) return false;
      }
      return true;
    };
    await until(said("Be old."), "the first prompt");
    write(server, "prompt.md", "Be new.");
    await until(said("Be new."), "the new prompt");
    write(server, "prompt.md", "");
    await until(() => logged(server, "PROMPT_FILE names a file that is empty") === 2, "the mistake is told");
    expect(await said("Be new.")()).toBe(true);
    write(server, "prompt.md", "Be mended.");
    await until(said("Be mended."), "the mended prompt");
  });

  test("a secret's own file is read again", async () => {
    write(server, "key", "new-key-0123456789");
    await until(async () => {
      await drain(await ask("a"));
      return lastCall().key === "Bearer new-key-0123456789";
    }, "the new key");
    expect(server.stderr()).not.toMatch(/(old|new)-key-/);
  });

  test("an answer that is being written ends as it began, though its site is gone", async () => {
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
    model.next([{ text: "begun, " }, { hold: held }, ...answer("ended")]);
    const stream = await ask("b");
    rmSync(join(server.cwd, "tenants/b.env"));
    await shows(server, "b", 404);
    goOn();
    expect((await drain(stream)).text).toBe("begun, ended");
  });
});

test("a message that waits is answered when its site returns", async () => {
  const model = await scriptedModel();
  const server = await startServer({
    env: {
      LLM_BASE_URL: model.baseUrl,
      LLM_MODEL: "scripted",
      CONCURRENT_RUNS_MAX: "1",
      QUEUE_WAIT_MS: "600000",
    },
    tenants: { a: titled("A"), b: titled("B") },
  });
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>();
  model.next([{ text: "first" }, { hold: held }, ...answer("")]);
  const headers = { prefer: "respond-async" };
  const [first, second] = await Promise.all([visitor(server.url, "a"), visitor(server.url, "a")]);
  const post = (token: string) =>
    call(server.url, "POST", "/v1/a/turns", { token, headers, body: { message: "Hello" } });
  await post(first);
  await until(() => model.calls.length === 1, "the first is asked");
  const { turn } = (await (await post(second)).json()) as { turn: { id: string } };
  rmSync(join(server.cwd, "tenants/a.env"));
  await shows(server, "a", 404);
  goOn();
  write(server, "tenants/a.env", titled("Back"));
  await shows(server, "a", "Back");
  await until(async () => {
    const answered = await call(server.url, "GET", `/v1/a/turns/${turn.id}`, { token: second });
    return ((await answered.json()) as { turn: { status: string } }).turn.status === "done";
  }, "the second is answered");
});

test("SIGHUP and an edit of .env change the sites' defaults; what is the instance's waits for the next start", async () => {
  const server = await startServer({
    files: { ".env": "UI_TITLE=Before\nDRAIN_MS=1000\n" },
    tenants: { own: titled("Own"), plain: "" },
  });
  await shows(server, "plain", "Before");
  write(server, ".env", "UI_TITLE=After\nDRAIN_MS=2000\n");
  server.kill("SIGHUP");
  await shows(server, "plain", "After");
  expect(await titleOf(server, "own")).toBe("Own");
  expect(server.stderr()).toMatch(/"settings":\["DRAIN_MS"\].*next start/);
  write(server, ".env", "UI_TITLE=Never\nLEASE_MS=soon\n");
  await until(() => logged(server, "not taken: .env: LEASE_MS must be") === 1, "the mistake is told");
  write(server, "tenants/own.env", titled("Still"));
  await shows(server, "own", "Still");
  expect(await titleOf(server, "plain")).toBe("After");
  expect(await server.stop()).toBe(0);
});
