// What a site can have the chat do through `window.cip`, and what it hears from it.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import type { Window } from "./browser.ts";
import { cip, shop, snippetOf, visitWithChat } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
let origin: string;

beforeAll(async () => {
  origin = shop();
  site = await startSite({
    tenants: {
      listed: `ALLOWED_ORIGINS=${origin}`,
      other: `ALLOWED_ORIGINS=${origin}\nUI_TITLE=Other\nUI_POSITION=left`,
    },
  });
});

const open = (attributes?: string, more?: string, window?: Window) =>
  visitWithChat(origin, site.url, attributes, more, window);
const isShown = (window: Page) => window.locator("cip-chat iframe").isVisible();

describe("a command", () => {
  test("that comes before the script has loaded is carried out when it has", async () => {
    const { chat, hears } = await open(
      undefined,
      `<script>cip('open');cip('prefill','Do you ship to Peru?')</script>`,
    );
    await until(async () => (await chat.box.inputValue()) === "Do you ship to Peru?", "the text is there");
    expect(await hears("open")).toEqual({ event: "open", tenant: "listed" });
  });

  test("that fills the box takes the place of an earlier one, but not of what the visitor typed", async () => {
    const { window, chat } = await open();
    const holds = (text: string) =>
      until(async () => (await chat.box.inputValue()) === text, `"${text}" is in the box`);
    await cip(window, "prefill", "About shoes");
    await holds("About shoes");
    await cip(window, "prefill", "About hats");
    await holds("About hats");
    await chat.box.fill("About hats, please");
    await cip(window, "prefill", "About coats");
    await holds("About coats\n\nAbout hats, please");
  });

  test("opens, closes and toggles the window, and the site hears of it", async () => {
    const { window, chat, heard, hears, launcher } = await open();
    await launcher().waitFor();
    await cip(window, "open");
    await chat.inFocus();
    await hears("ready");
    await cip(window, "open");
    await cip(window, "toggle");
    await launcher().waitFor();
    expect(await isShown(window)).toBeFalse();
    await cip(window, "toggle");
    await cip(window, "close");
    await launcher().waitFor();
    const moves = (await heard()).map(({ event }) => event).filter((event) => event !== "ready");
    expect(moves).toEqual(["open", "close", "open", "close"]);
  });

  test("sends a message into the conversation that has yet to be read", async () => {
    const { window, chat, hears } = await open();
    await cip(window, "send", "One");
    await chat.shows("echo: One");
    await chat.idle();
    await cip(window, "close");
    await window.reload();
    await cip(window, "send", "Two");
    await hears("message");
    await chat.shows("echo: Two");
    expect(await chat.turns.count()).toBe(2);
  });

  test("sends a message, with where the visitor is and what the site says of it", async () => {
    const { window, chat, hears } = await open();
    const asked = window.waitForRequest((request) => request.url().endsWith("/v1/listed/turns"));
    await cip(window, "send", "How much?", { context: { fields: { sku: "F-1" } } });
    await chat.shows("echo: How much?");
    const url = window.url();
    expect((await asked).postDataJSON().context).toEqual({
      url: url.length > 2000 ? url.split("?")[0] : url,
      title: "Shop",
      fields: { sku: "F-1" },
    });
    const { turn_id } = await hears("message");
    expect(await hears("message")).toMatchObject({ tenant: "listed", text: "How much?" });
    expect(await hears("answer")).toMatchObject({ turn_id, status: "done" });

    // What it said of that message it did not say of the next.
    const next = window.waitForRequest((request) => request.url().endsWith("/v1/listed/turns"));
    await chat.idle();
    await chat.ask("And two?");
    expect((await next).postDataJSON().context).toMatchObject({ title: "Shop" });
    expect((await next).postDataJSON().context).not.toHaveProperty("fields");
  });

  test("that there is not is a warning and nothing more", async () => {
    const { window, launcher } = await open();
    await launcher().waitFor();
    const said = window.waitForEvent("console", (message) => message.text().startsWith("cip: "));
    await cip(window, "opne");
    expect((await said).text()).toContain('"opne"');
    expect((await said).type()).toBe("warning");
    expect(await isShown(window)).toBeFalse();
  });

  test("speaks another language from then on, without a step in the history", async () => {
    const { window, chat, launcher } = await open();
    await launcher().click();
    await chat.box.waitFor();
    const steps = await window.evaluate(() => history.length);
    await cip(window, "close");
    await cip(window, "locale", "de");
    await launcher("Chat öffnen").waitFor();
    await until(
      () => window.frames().find((frame) => frame.url().includes("locale=de")),
      "the chat is loaded anew",
    );
    expect(await window.evaluate(() => history.length)).toBe(steps);
  });

  test("to speak another language leaves the focus and the count of answers as they should be", async () => {
    const { window, chat, heard, launcher } = await open(undefined, "<input>");
    const begun = (times: number) =>
      until(
        async () => (await heard()).filter(({ event }) => event === "ready").length === times,
        `the chat has begun ${times} times`,
      );
    await launcher().click();
    const answer = site.hold([{ text: "Later" }]);
    await chat.ask("Think about it");
    await answer.asked();
    await window.locator("input").focus();
    await cip(window, "locale", "de");
    await begun(2);
    expect(await window.locator("input").evaluate((node) => node.matches(":focus"))).toBeTrue();

    // It counts what nobody sees, also where it was hidden when it began.
    await cip(window, "close");
    await cip(window, "locale", "en");
    await begun(3);
    answer.releaseAll();
    await launcher("Open chat, 1 new answer").waitFor();
    await cip(window, "locale", "de");
    await begun(4);
    await launcher("Chat öffnen").waitFor();
    const counts = (await heard()).filter(({ event }) => event === "unread").map(({ count }) => count);
    expect(counts).toEqual([1, 0]);
  });

  test("for one tenant reaches only that one's chat, for none all", async () => {
    const { window, heard } = await open('data-tenant="listed"', snippetOf(site.url, 'data-tenant="other"'));
    const frames = window.locator("cip-chat iframe:visible");
    await until(async () => (await window.locator("cip-chat").count()) === 2, "both are there");
    await cip(window, "other.open");
    await until(async () => (await frames.count()) === 1, "one is open");
    expect(await frames.getAttribute("title")).toBe("Other");
    await cip(window, "open");
    await until(async () => (await frames.count()) === 2, "both are open");
    const opened = (await heard()).filter(({ event }) => event === "open");
    expect(opened.map(({ tenant }) => tenant)).toEqual(["other", "listed"]);
  });
});

describe("a handler", () => {
  test("that throws breaks neither the chat nor the others, and is reported as the site's own", async () => {
    const broken = "<script>cip('on','open',()=>{throw new Error('boom')})</script>";
    const after = "<script>cip('on','open',()=>heard.push({event:'still'}))</script>";
    const { window, chat, hears } = await open(undefined, broken + after, {
      expected: [/boom/],
    });
    await cip(window, "open");
    await chat.inFocus();
    await hears("open");
    await hears("still");
  });

  test("hears nothing more once it is taken off", async () => {
    const { window, heard, hears, chat } = await open();
    await cip(window, "off", "open");
    await cip(window, "open");
    await chat.inFocus();
    await hears("ready");
    expect((await heard()).map(({ event }) => event)).toEqual(["ready"]);
  });
});

test("an answer that ends while the window is closed is counted on the button until it is opened", async () => {
  const { window, chat, launcher, heard } = await open();
  await launcher().click();
  const answer = site.hold([{ text: "Later" }]);
  await chat.ask("Think about it");
  await answer.asked();
  await chat.busy();
  await launcher("Close chat").click();
  answer.releaseAll();
  await launcher("Open chat, 1 new answer").waitFor();
  expect(await window.locator("cip-chat .unread").textContent()).toBe("1");
  await launcher("Open chat, 1 new answer").click();
  await launcher("Close chat").click();
  await launcher().waitFor();
  const counts = (await heard()).filter(({ event }) => event === "unread").map(({ count }) => count);
  expect(counts).toEqual([1, 0]);
});
