// A connection that is lost or only looks alive: what the visitor is told meanwhile, and how the chat goes on by itself.
import { beforeAll, describe, expect, test } from "bun:test";
import { kept, openChat, stored } from "./chat.ts";
import { badLine } from "./proxy.ts";
import { type Site, startSite } from "./site.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

test("a browser that is offline is told so, and the answer goes on when it is back", async () => {
  const chat = await openChat(site.url, { expected: [/net::ERR_/] });
  const { release, releaseAll } = site.hold([{ text: "One" }, { text: " two" }]);
  await chat.ask("Count");
  await chat.shows("One");
  // The connection that is open is not cut by this; the server's end of it is.
  await chat.page.context().setOffline(true);
  await chat.button("Stop answer").click();
  await chat.status.getByText("The answer could not be stopped.").waitFor();
  await chat.page.context().setOffline(false);
  release();
  releaseAll();
  await chat.shows("One two");
  await chat.idle();
  expect(await stored(site, chat.page)).toMatchObject([{ status: "done", answer: "One two" }]);
});

test("a browser whose connection is gone is told that it is offline, and goes on by itself once it is back", async () => {
  const line = await badLine(site.url);
  const chat = await openChat(line.url, { expected: [/net::ERR_/] });
  const { releaseAll } = site.hold([{ text: "One" }, { text: " two" }]);
  await chat.ask("Count");
  await chat.shows("One");
  await chat.page.context().setOffline(true);
  line.down(true);
  await chat.status.getByText("You are offline. The chat goes on as soon as you are back.").waitFor();
  releaseAll();
  line.down(false);
  await chat.page.context().setOffline(false);
  await chat.shows("One two");
  await chat.idle();
  expect(await chat.status.textContent()).toBe("");
});

describe("a laptop that has slept", () => {
  const wakes: Record<string, () => void> = {
    "is looked at again": () => document.dispatchEvent(new Event("visibilitychange")),
    "is online again": () => window.dispatchEvent(new Event("online")),
    "is back at this page": () =>
      window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })),
  };

  test.each(Object.entries(wakes))("asks for the rest of an answer anew once it %s", async (_, wake) => {
    const chat = await openChat(site.url);
    const { releaseAll } = site.hold([{ text: "One" }, { text: " two" }]);
    await chat.ask("Count");
    await chat.shows("One");
    const resumed = chat.page.waitForRequest((request) => request.url().includes("/stream?after="));
    // Time has passed that no timer has seen; the connection looks as it did.
    await chat.page.evaluate(`{ const now = Date.now; Date.now = () => now() + 20_000; (${wake})() }`);
    await resumed;
    releaseAll();
    await chat.shows("One two");
    await chat.idle();
    expect(await stored(site, chat.page)).toHaveLength(1);
  });

  test.each(Object.entries(wakes))("shows what was said elsewhere once it %s", async (_, wake) => {
    const chat = await openChat(site.url);
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    const { token, conversation } = await kept(chat.page);
    await site.ask(token, "From elsewhere", { conversation_id: conversation });
    await chat.page.evaluate(`(${wake})()`);
    await chat.shows("echo: From elsewhere");
  });
});

test("a message that is sent offline stays in the box, and is told why", async () => {
  const chat = await openChat(site.url, { expected: [/net::ERR_/] });
  await chat.page.context().setOffline(true);
  await chat.ask("Anyone?");
  await chat.refusal.getByText("You are offline. Your text is kept").waitFor();
  await chat.page.context().setOffline(false);
  await chat.box.press("Enter");
  await chat.shows("echo: Anyone?");
});
