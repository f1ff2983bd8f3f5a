// The clients of the ecosystem: useChat of @ai-sdk/react in a real browser, on another origin, with README's transport.
import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { UIMessage } from "ai";
import type { Page } from "playwright-core";
import { browser, page } from "./browser.ts";
import { statusLogged } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { atTheEnd, repository, until } from "./support.ts";

let site: Site;
let owner: string;
beforeAll(async () => {
  owner = await serveOwner();
  site = await startSite({ env: { ALLOWED_ORIGINS: owner } });
});

/** The site of somebody who made a chat of their own: its origin. */
async function serveOwner(): Promise<string> {
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "usechat/page.ts")],
    target: "browser",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  const script = await built.outputs[0]?.text();
  const server = Bun.serve({
    port: 0,
    routes: {
      "/page.js": () =>
        new Response(script, { headers: { "content-type": "text/javascript; charset=utf-8" } }),
      "/": () =>
        new Response('<!doctype html><link rel="icon" href="data:,"><body><script src="/page.js"></script>', {
          headers: { "content-type": "text/html; charset=utf-8" },
        }),
    },
  });
  atTheEnd(() => server.stop(true));
  return `http://localhost:${server.port}`;
}

type Shown = { messages: UIMessage[]; status: string; error?: string };

/** The owner's page, in a conversation of its own. */
async function openChat() {
  const token = await site.visitor();
  const conversation = Bun.randomUUIDv7();
  // A conversation is there once something was asked in it.
  const opened = await page(await browser(), { expected: [statusLogged(404)] });
  const parameters = new URLSearchParams({ site: `${site.url}/v1/default`, token, conversation });
  await opened.goto(`${owner}/#${parameters}`);
  return { ...chatIn(opened), page: opened, token, conversation };
}

function chatIn(page: Page) {
  const state = async () => JSON.parse((await page.locator("pre").textContent()) ?? "") as Shown;
  const shows = (what: string, condition: (shown: Shown) => boolean) =>
    until(async () => {
      const shown = await state();
      return condition(shown) && shown;
    }, what);
  return {
    press: (name: string) => page.getByRole("button", { name, exact: true }).click(),
    shows,
    ready: () => shows("the chat is ready", ({ status }) => status === "ready"),
    answers: (...texts: string[]) =>
      shows(
        `"${texts.at(-1)}" is the answer`,
        ({ status, messages }) => status === "ready" && Bun.deepEquals(textsOf(messages, "assistant"), texts),
      ),
  };
}

function textsOf(messages: UIMessage[], role: UIMessage["role"]): string[] {
  return messages
    .filter((message) => message.role === role)
    .map(({ parts }) => parts.map((part) => (part.type === "text" ? part.text : "")).join(""));
}

test("README.md shows the transport that is tested here", async () => {
  const readme = await Bun.file(join(repository, "README.md")).text();
  const [, shown] = /^```ts usechat\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  expect(shown).toBe(await Bun.file(join(import.meta.dir, "usechat/cip.ts")).text());
});

test("a message is answered, part by part, and says which turn it is", async () => {
  const chat = await openChat();
  await chat.ready();
  const held = site.hold([{ reasoning: "Well." }, { text: "Good " }, { text: "day" }]);
  await chat.press("send");
  await held.asked();
  await chat.shows(
    "the thought",
    ({ messages }) => messages.at(-1)?.parts.some((p) => p.type === "reasoning") === true,
  );
  held.release();
  await chat.shows("the first word", ({ messages }) => textsOf(messages, "assistant").at(-1) === "Good ");
  held.releaseAll();
  const { messages } = await chat.answers("Good day");

  const said = messages.at(-1);
  const [turn] = (await site.conversation(chat.token, chat.conversation)).turns;
  expect(said?.id).toBe(turn?.id as string);
  expect(said?.metadata).toMatchObject({ turn_id: turn?.id, conversation_id: chat.conversation });
  expect(said?.parts).toEqual([
    { type: "reasoning", text: "Well.", id: "0", state: "done" },
    { type: "text", text: "Good day", state: "done" },
  ] as never);
});

test("an answer given anew takes the place of the first one", async () => {
  const chat = await openChat();
  await chat.ready();
  site.model.next(answer("First"));
  await chat.press("send");
  await chat.answers("First");
  site.model.next(answer("Second"));
  await chat.press("regenerate");
  await chat.answers("Second");

  const { turns } = await site.conversation(chat.token, chat.conversation);
  expect(turns.map((turn) => [turn.answer, turn.versions.length])).toEqual([["Second", 1]]);
});

test("a stop ends the answer on the server, and what was said stays", async () => {
  const chat = await openChat();
  await chat.ready();
  const held = site.hold([{ text: "Once upon" }, { text: " a time" }]);
  await chat.press("send");
  await chat.shows(
    "the first words",
    ({ messages }) => textsOf(messages, "assistant").at(-1) === "Once upon",
  );
  await chat.press("stop");
  await chat.answers("Once upon");
  held.releaseAll();

  const { turns } = await site.conversation(chat.token, chat.conversation);
  expect(turns.map((turn) => [turn.status, turn.answer])).toEqual([["stopped", "Once upon"]]);
});

test("a reload in the middle of an answer brings back what was said, and the rest", async () => {
  const chat = await openChat();
  await chat.ready();
  site.model.next(answer("Before"));
  await chat.press("send");
  await chat.answers("Before");
  const held = site.hold([{ text: "Once upon" }, { text: " a time" }]);
  await chat.press("send");
  await chat.shows(
    "the first words",
    ({ messages }) => textsOf(messages, "assistant").at(-1) === "Once upon",
  );

  await chat.page.reload();
  await chat.shows("the answer goes on", ({ messages, status }) => {
    return status === "streaming" && textsOf(messages, "assistant").at(-1) === "Once upon";
  });
  held.releaseAll();
  const { messages } = await chat.answers("Before", "Once upon a time");
  expect(textsOf(messages, "user")).toEqual(["Hello?", "Hello?"]);

  await chat.page.reload();
  await chat.answers("Before", "Once upon a time");
});

test("a model that fails is an error of the chat", async () => {
  const chat = await openChat();
  await chat.ready();
  site.model.next({ status: 400, body: "no" });
  await chat.press("send");
  const { error } = await chat.shows("the error", ({ status }) => status === "error");
  expect(error).toBe("The model refused the request");
});
