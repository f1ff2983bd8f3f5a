// WCAG 2.2 AA in every state of the chat, light and dark, from 320 pixels to a desktop: axe finds nothing, all fits in
// the width, and whatever can be pressed is large enough to be hit.
import { beforeAll, describe, expect, test } from "bun:test";
import { browser, page } from "./browser.ts";
import { chatIn, openChat, statusLogged, violations } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { answered, complaints, rich } from "./wcag.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite({ tenants: { default: "UI_SUGGESTIONS=Where is my order? | What does it cost?" } });
});

describe("the chat", () => {
  test("before its first message", async () => {
    const chat = await openChat(site.url);
    await chat.button("Where is my order?").waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("while an answer is waited for, while it streams, and when it is done", async () => {
    const chat = await openChat(site.url);
    const { release, releaseAll } = site.hold([
      { reasoning: "Let me think" },
      { text: rich.slice(0, 300) },
      { text: rich.slice(300) },
    ]);
    await chat.ask("Which plans are there?");
    await chat.turns.getByText("Thinking…").first().waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    release();
    await chat.turns.getByRole("heading", { name: "Plans" }).waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    // With reduced motion nothing moves, not even what waits.
    expect(await chat.page.evaluate(() => document.getAnimations().length)).toBe(0);
    releaseAll();
    await chat.idle();
    await chat.turns.getByText(/^Thought for/).click();
    await chat.turns.locator("math").waitFor();
    await chat.turns.locator(".code-keyword").waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("when an answer failed and a message is too long", async () => {
    const chat = await openChat(site.url);
    const { release } = site.hold([{ text: "Half an ans" }, { drop: true }]);
    await chat.ask("Hello");
    await chat.shows("Half an ans");
    release();
    await chat.idle();
    await chat.ask("x".repeat(8001));
    await chat.refusal.waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("when an answer was stopped, a limit is reached, and there is no connection", async () => {
    const expected = [statusLogged(429), /ERR_INTERNET_DISCONNECTED/];
    const chat = await openChat(site.url, { expected });
    site.hold([{ text: "Half" }]);
    await chat.ask("Hello");
    await chat.shows("Half");
    await chat.button("Stop answer").click();
    await chat.idle();
    const refusal = { status: 429, headers: { "retry-after": "4000" }, json: { code: "budget_exhausted" } };
    await chat.page.route("**/turns", (route) => route.fulfill(refusal), { times: 1 });
    await chat.ask("And now?");
    await chat.refusal.waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    site.hold([{ text: "Half" }]);
    await chat.ask("And now?");
    await chat.shows("Half");
    await chat.page.context().setOffline(true);
    await chat.ask("Offline");
    expect(await complaints(chat.page)).toEqual([]);
    await chat.page.context().setOffline(false);
  });

  test("with versions of an answer, a comment and a message being edited", async () => {
    const chat = await answered(site.url);
    await chat.button("Answer again").click();
    await chat.button("Previous version").waitFor();
    await chat.button("Bad answer").click();
    await chat.page.getByRole("textbox", { name: "Tell us more (optional)" }).waitFor();
    await chat.button("Edit message").click();
    await chat.page.getByRole("textbox", { name: "Edit message" }).waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });

  test("with its conversations, one being renamed, one deleted, and all of it erased", async () => {
    const chat = await answered(site.url);
    await chat.button("New conversation").click();
    await chat.ask("A second one with a title thatislongerthananyphoneiswideandhasnospaces");
    await chat.idle();
    await chat.button("Conversations").click();
    const panel = chat.page.getByRole("dialog");
    await panel.getByRole("listitem").nth(1).waitFor();
    expect(await complaints(chat.page)).toEqual([]);
    await panel.getByRole("button", { name: /^Rename “A second/ }).click();
    await panel.getByRole("button", { name: "Delete “Well?”" }).click();
    await panel.getByRole("button", { name: "Delete all my data" }).click();
    await panel.getByRole("button", { name: "Delete everything" }).waitFor();
    expect(await complaints(chat.page)).toEqual([]);
  });
});

test("axe finds a colour too faint and a name missing where there is one", async () => {
  const chat = await openChat(site.url);
  site.model.next([{ text: "Cut" }, { finish: "length" }, { done: true }]);
  await chat.ask("Hello");
  await chat.idle();
  await chat.page.evaluate(() => {
    document.documentElement.style.setProperty("--soft", "#aaa");
    document.querySelector("#box")?.removeAttribute("aria-label");
    document.querySelector("#box")?.removeAttribute("placeholder");
  });
  const found = (await violations(chat.page)).join("\n");
  expect(found).toContain("color-contrast: .note");
  expect(found).toMatch(/label.*: #box/);
});

describe("the demo site", () => {
  test("with the chat closed and open", async () => {
    const window = await page(await browser());
    await window.goto(site.url);
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    expect(await complaints(window)).toEqual([]);
    await window.setViewportSize({ width: 1280, height: 800 });
    await window.getByRole("button", { name: "Open chat" }).click();
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    site.model.next(answer(rich));
    await chat.ask("Which plans are there?");
    await chat.idle();
    expect(await complaints(window)).toEqual([]);
  });
});
