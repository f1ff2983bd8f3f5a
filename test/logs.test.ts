// What the log says: enough to find a turn and tell how it went, and nothing of what was said or by whom.
import { beforeAll, describe, expect, test } from "bun:test";
import { drain } from "./client.ts";
import { linesOf } from "./lines.ts";
import { answer } from "./model.ts";
import { binary } from "./server.ts";
import { expectProblem, type Site, startSite } from "./site.ts";
import { repository, temporaryFolder, until, untilItExits, within } from "./support.ts";

const ended = (site: Site, id: string) =>
  until(
    () => linesOf(site.server).find((line) => line.turn_id === id && line.msg === "a turn ended"),
    "a line",
  );

describe("at LOG_LEVEL=debug", () => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite({
      env: {
        LOG_LEVEL: "debug",
        LLM_FALLBACK_BASE_URL: "http://127.0.0.1:9/v1",
        LLM_FALLBACK_MODEL: "spare",
      },
    });
    token = await site.visitor();
  });

  test("a turn that ended is one line that says how, and no more", async () => {
    const turn = await site.ask(token, "My secret is a tortoise");
    const { time, request_id, first_chunk_ms, duration_ms, ...rest } = await ended(site, turn.id);
    expect(rest).toEqual({
      level: "info",
      msg: "a turn ended",
      tenant_id: "default",
      turn_id: turn.id,
      model: "scripted",
      status: "done",
      input_tokens: turn.usage?.input_tokens ?? 0,
      output_tokens: turn.usage?.output_tokens ?? 0,
    });
    expect(new Date(time).toISOString()).toBe(time);
    expect(request_id).toBeString();
    expect(first_chunk_ms as number).toBeLessThanOrEqual(duration_ms as number);
    expect(site.server.stderr()).not.toContain("tortoise");
  });

  test("a stopped turn and a failed one say so, the failed one why and with which model", async () => {
    const held = site.hold([{ text: "Well" }]);
    const reading = drain(await site.stream(token, "Stop me"));
    const [{ id: stoppedId } = { id: "" }] = await until(async () => {
      const { conversations } = await site.conversations(token);
      const { turns } = await site.conversation(token, conversations[0]?.id ?? "");
      return turns[0]?.answer === "Well" && turns;
    }, "it speaks");
    await site.stop(token, stoppedId);
    held.releaseAll();
    await reading;
    expect(await ended(site, stoppedId)).toMatchObject({ status: "stopped" });

    site.model.next({ status: 400 });
    const { turnId } = await drain(await site.stream(token, "Fail me"));
    const line = await ended(site, turnId);
    expect(line).toMatchObject({ status: "failed", code: "model_failed", model: "spare" });
    expect(line).not.toHaveProperty("first_chunk_ms");
    const told = linesOf(site.server).filter(({ turn_id }) => turn_id === turnId);
    expect(told.map(({ level }) => level)).toEqual(["warn", "error", "info"]);
    expect(new Set(told.map(({ request_id }) => request_id)).size).toBe(1);
  });

  test("a request is a line with its route's pattern, without the ids of its address or the user's", async () => {
    const turn = await site.ask(token, "Hello");
    const response = await site.on("GET", `/turns/${turn.id}`, { token });
    await response.text();
    const requestId = response.headers.get("x-request-id");
    const line = await until(
      () => linesOf(site.server).find(({ request_id }) => request_id === requestId),
      "it is logged",
    );
    const { time: _time, duration_ms: _ms, ...rest } = line;
    expect(rest).toEqual({
      level: "debug",
      msg: "a request",
      request_id: requestId,
      tenant_id: "default",
      method: "GET",
      route: "/v1/:tenant/turns/:id",
      status: 200,
    });
    const { sub } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as {
      sub: string;
    };
    expect(sub.length).toBeGreaterThan(30);
    expect(site.server.stderr()).not.toContain(sub);
    expect(site.server.stderr()).not.toContain(token);
  });

  test("a refused request is a line with the status that it got", async () => {
    const response = await site.on("DELETE", "/turns", { token });
    const { request_id } = await expectProblem(response, 405, "method_not_allowed");
    const line = await until(
      () => linesOf(site.server).find((line) => line.request_id === request_id),
      "a line",
    );
    expect(line).toMatchObject({ status: 405, route: "none", method: "DELETE" });
  });
});

test("at LOG_LEVEL=error nothing is said of what went well", async () => {
  const site = await startSite({ env: { LOG_LEVEL: "error" } });
  const token = await site.visitor();
  await site.ask(token, "Hello");
  site.model.next({ status: 400 });
  await drain(await site.stream(token, "Fail me"));
  await until(() => linesOf(site.server).length > 0, "a line");
  expect(linesOf(site.server).map(({ msg }) => msg)).toEqual(["a turn failed"]);
});

test("on a terminal the log is a line for people, from the binary too", async () => {
  let shown = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([await binary()], {
    cwd: temporaryFolder(),
    env: { PATH: process.env.PATH ?? "", HOME: temporaryFolder(), PORT: "0" },
    terminal: {
      cols: 200,
      rows: 50,
      data: (_terminal, bytes) => {
        shown += decoder.decode(bytes, { stream: true });
      },
    },
  });
  untilItExits(child, child.exited);
  await until(() => /http:\/\/localhost:\d+/.test(shown), "cip is ready", 30_000);
  child.kill("SIGTERM");
  expect(await within(child.exited, "cip stops", 20_000)).toBe(0);
  await until(() => shown.includes("shutting down"), "the line is shown");
  const esc = String.fromCharCode(27);
  const line = shown.split(/\r?\n/).find((line) => line.includes("shutting down")) ?? "";
  expect(line.replaceAll(new RegExp(`${esc}\\[\\d+m`, "g"), "")).toMatch(
    /^\[\d\d:\d\d:\d\d\] INFO: shutting down .*"signal":"SIGTERM"/,
  );
});

test("what others said gives the terminal no orders, in the log and in what a command says", async () => {
  const script = `const { log } = await import("${repository}/src/log.ts");
    log.error({ err: new Error("a\\x1b[2Jb\\x9bc\\rd\\be \\\\x1b") }, "told");
    const { line } = await import("${repository}/src/check/result.ts");
    process.stdout.write(line({ state: "fail", what: "w", seen: "f\\x1b[2J\\nok  g" }) + "\\n");`;
  let shown = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { PATH: process.env.PATH ?? "" },
    terminal: {
      cols: 200,
      rows: 50,
      data: (_terminal, bytes) => {
        shown += decoder.decode(bytes, { stream: true });
      },
    },
  });
  untilItExits(child, child.exited);
  await until(() => shown.includes("ok g"), "all is shown");
  for (const order of ["\x1b[2J", "\x9b", "\b"]) expect(shown).not.toContain(order);
  expect(shown).toContain("a\\u001b[2Jb\\u009bc\\rd\\be \\x1b");
  expect(shown).toContain("f\\u001b[2J ok g");
});

test("what the model says of a visitor's words in an error is no part of the line of its turn", async () => {
  const site = await startSite();
  const token = await site.visitor();
  site.model.next([{ text: "Of tortoises I say: " }, { drop: true }]);
  const { turnId } = await drain(await site.stream(token, "tortoise?"));
  site.model.next(answer("fine"));
  expect(await ended(site, turnId)).toMatchObject({ status: "failed", code: "model_incomplete" });
  expect(site.server.stderr()).not.toContain("ortoise");
});
