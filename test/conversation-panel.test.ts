// The visitor's conversations and all that is stored of them: found again, named, taken away, deleted.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { kept, openChat, statusLogged, violations } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** A visitor with a conversation for each message, the last one open, and the panel over it. */
async function panelAfter(messages: string[], window: Parameters<typeof openChat>[1] = {}) {
  const chat = await openChat(site.url, window);
  for (const message of messages) {
    await chat.button("New conversation").click();
    await chat.ask(message);
    await chat.shows(`echo: ${message}`);
    await chat.idle();
  }
  const panel = chat.page.getByRole("dialog", { name: "Conversations" });
  const titles = () => panel.locator(".entry-title").allInnerTexts();
  const lists = (wanted: string[]) =>
    until(async () => (await titles()).join() === wanted.join(), `${wanted.join()} are listed`);
  const open = async () => {
    await chat.button("Conversations").click();
    await panel.waitFor();
  };
  const button = (name: string) => panel.getByRole("button", { name, exact: true });
  await open();
  return { ...chat, panel, lists, open, within: button };
}

describe("the conversations", () => {
  test("are listed, the newest first, and opened where they were left, also after a reload", async () => {
    const chat = await panelAfter(["One", "Two", "Three"]);
    await chat.lists(["Three", "Two", "One"]);
    expect(await chat.panel.locator("[aria-current]").textContent()).toContain("Three");
    await chat.panel.getByText("One").click();
    await chat.shows("echo: One");
    expect(await chat.panel.isVisible()).toBeFalse();
    await chat.page.reload();
    await chat.shows("echo: One");
    await chat.ask("And then?");
    await chat.shows("echo: And then?");
    await chat.idle();
    await chat.open();
    await chat.lists(["One", "Three", "Two"]);
  });

  test("of more than a page are shown as far as wanted", async () => {
    const chat = await panelAfter(["Newest"]);
    const { token } = await kept(chat.page);
    for (let i = 0; i < 50; i += 1) await site.ask(token, `Older ${i}`);
    await chat.page.keyboard.press("Escape");
    await chat.open();
    await chat.within("Show more").click();
    await chat.panel.getByText("Newest").waitFor();
    expect(await chat.panel.getByRole("listitem").count()).toBe(51);
    expect(await chat.within("Show more").isVisible()).toBeFalse();
  });

  test("are renamed in their place", async () => {
    const chat = await panelAfter(["One"]);
    await chat.within("Rename “One”").click();
    const box = chat.panel.getByRole("textbox", { name: "New title" });
    await box.press("Escape");
    await chat.within("Rename “One”").press("Enter");
    await box.fill("Lamps");
    await box.press("Enter");
    await chat.lists(["Lamps"]);
    const { token } = await kept(chat.page);
    expect((await site.conversations(token)).conversations).toMatchObject([{ title: "Lamps" }]);
  });

  test("are deleted after a question, and the open one gives way to a new one", async () => {
    const chat = await panelAfter(["One", "Two"]);
    await chat.within("Delete “Two”").click();
    await chat.within("Cancel").click();
    await chat.lists(["Two", "One"]);
    await chat.within("Delete “Two”").click();
    await chat.within("Delete").click();
    await until(async () => (await chat.panel.getByRole("listitem").count()) === 1, "it is gone");
    await chat.lists(["One"]);
    await chat.page.keyboard.press("Escape");
    expect(await chat.turns.count()).toBe(0);
    const { token } = await kept(chat.page);
    expect((await site.conversations(token)).conversations).toMatchObject([{ title: "One" }]);
  });

  test("that cannot be read are asked for again on request", async () => {
    const chat = await panelAfter(["One"], { expected: [statusLogged(503)] });
    await chat.page.keyboard.press("Escape");
    await chat.page.route("**/conversations", (route) => route.fulfill({ status: 503 }), { times: 1 });
    await chat.open();
    await chat.panel.getByText("The conversations could not be loaded.").waitFor();
    await chat.within("Try again").click();
    await chat.lists(["One"]);
  });
});

describe("the panel", () => {
  test("is there once, however impatiently it is asked for", async () => {
    const chat = await openChat(site.url);
    const line = Promise.withResolvers<void>();
    await chat.page.route("**/panel-*.css", (route) => line.promise.then(() => route.continue()));
    await chat.button("Conversations").dblclick();
    line.resolve();
    await chat.page.getByText("No conversations yet.").first().waitFor();
    expect(await chat.page.locator("dialog").count()).toBe(1);
  });

  test("is left by Escape, first of what is open, and gives the focus back", async () => {
    const chat = await panelAfter(["One"]);
    await chat.within("Delete “One”").click();
    await chat.page.keyboard.press("Escape");
    expect(await chat.panel.isVisible()).toBeTrue();
    await chat.page.keyboard.press("Escape");
    await chat.panel.waitFor({ state: "detached" });
    expect(await chat.button("Conversations").evaluate((node) => node === document.activeElement)).toBeTrue();
  });

  test.each([
    ["a phone", { width: 320, height: 568 }],
    ["a desktop", {}],
  ])("is accessible on %s, empty and full", async (_, window) => {
    const chat = await panelAfter([], window);
    await chat.panel.getByText("No conversations yet.").waitFor();
    expect(await violations(chat.page)).toEqual([]);
    await chat.page.keyboard.press("Escape");
    await chat.ask("A rather long first message, so that its title does not fit into the panel");
    await chat.idle();
    await chat.open();
    await chat.panel.getByRole("listitem").waitFor();
    expect(await violations(chat.page)).toEqual([]);
    expect(await chat.panel.evaluate((node) => node.scrollWidth <= node.clientWidth)).toBeTrue();
    await chat.within("Delete all my data").click();
    expect(await violations(chat.page)).toEqual([]);
  });
});

describe("my data", () => {
  test.each([
    ["Download all (Markdown)", "conversations.md"],
    ["Download all (JSON)", "conversations.json"],
  ])("is had as a file: %s", async (name, file) => {
    const chat = await panelAfter(["Which lamp?"]);
    const download = chat.page.waitForEvent("download");
    await chat.within(name).click();
    const saved = await download;
    expect(saved.suggestedFilename()).toBe(file);
    const text = readFileSync(await saved.path(), "utf8");
    expect(text).toContain("Which lamp?");
    expect(text).toContain("echo: Which lamp?");
    if (file.endsWith("json")) expect(JSON.parse(text)).toMatchObject({ version: 1 });
  });

  test("is deleted after a question, here and there, and the chat begins anew", async () => {
    const chat = await panelAfter(["One", "Two"]);
    const { token } = await kept(chat.page);
    await chat.within("Delete all my data").click();
    await chat.within("Cancel").click();
    await chat.within("Delete all my data").click();
    await chat.within("Delete everything").click();
    await chat.panel.waitFor({ state: "detached" });
    expect(await chat.turns.count()).toBe(0);
    expect((await site.conversations(token)).conversations).toEqual([]);
    expect(await chat.page.evaluate(() => Object.keys(localStorage))).toEqual([]);
    await chat.ask("Who am I?");
    await chat.shows("echo: Who am I?");
    expect((await kept(chat.page)).token).not.toBe(token);
  });
});
