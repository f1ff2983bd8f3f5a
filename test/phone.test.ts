// The chat in a hand: under the keyboard of a phone, beside its notch, filling its screen, and never zoomed into.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { browser, page } from "./browser.ts";
import { openChat } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

const phone = { width: 390, height: 844 };

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

const bottomOf = (page: Page, selector: string) =>
  page.locator(selector).evaluate((node) => node.getBoundingClientRect().bottom);

/** A keyboard over the page that does not make it smaller, as Safari's: only the visual viewport tells. */
function openKeyboard(page: Page, height: number, scale = 1) {
  return page.evaluate(
    ([height, scale]) => {
      const viewport = window.visualViewport as VisualViewport;
      Object.defineProperty(viewport, "height", { value: innerHeight - height, configurable: true });
      Object.defineProperty(viewport, "scale", { value: scale, configurable: true });
      viewport.dispatchEvent(new Event("resize"));
    },
    [height, scale] as const,
  );
}

describe("a keyboard that covers the page", () => {
  test("leaves the box above it, and gives the room back when it goes", async () => {
    const chat = await openChat(site.url, phone);
    await openKeyboard(chat.page, 300);
    expect(await bottomOf(chat.page, "footer")).toBe(544);
    await openKeyboard(chat.page, 0);
    expect(await bottomOf(chat.page, "footer")).toBe(844);
  });

  test("is not what a reader does who zooms in", async () => {
    const chat = await openChat(site.url, phone);
    await openKeyboard(chat.page, 422, 2);
    expect(await bottomOf(chat.page, "footer")).toBe(844);
  });

  test("does not come up before the box is touched", async () => {
    const window = await page(await browser(), phone);
    await window.addInitScript(() => {
      const real = globalThis.matchMedia;
      globalThis.matchMedia = (query) => real(query === "(pointer: fine)" ? "not all" : query);
    });
    await window.goto(`${site.url}/default`);
    await window.getByRole("textbox", { name: "Message" }).fill("Hello");
    await window.getByRole("textbox", { name: "Message" }).press("Enter");
    await window.locator("#composer:not(.busy)").waitFor();
    await window.reload();
    await window.getByRole("article").waitFor();
    expect(await window.evaluate(() => document.activeElement?.localName)).toBe("body");
  });
});

test("nothing that is typed into is so small that Safari zooms in on it", async () => {
  const chat = await openChat(site.url, phone);
  await chat.ask("Hello");
  await chat.idle();
  await chat.button("Bad answer").click();
  await chat.page.getByRole("textbox", { name: "Tell us more (optional)" }).waitFor();
  await chat.button("Edit message").click();
  await chat.button("Conversations").click();
  await chat.button("Rename “Hello”").click();
  const sizes = await chat.page
    .locator("input, textarea")
    .evaluateAll((boxes) => boxes.map((box) => Number.parseFloat(getComputedStyle(box).fontSize)));
  expect(sizes).toHaveLength(4);
  expect(Math.min(...sizes)).toBeGreaterThanOrEqual(16);
  // And nobody is kept from zooming in.
  expect(await chat.page.locator("meta[name=viewport]").getAttribute("content")).not.toMatch(
    /maximum|user-scalable/,
  );
});

test("the notch and the bar at the foot cover nothing", async () => {
  const chat = await openChat(site.url, phone);
  const session = await chat.page.context().newCDPSession(chat.page);
  const insets = { top: 47, bottom: 34, left: 40, right: 40 };
  await session.send("Emulation.setSafeAreaInsetsOverride", { insets });
  const box = async (selector: string) => chat.page.locator(selector).boundingBox();
  await until(async () => ((await box("#menu"))?.y ?? 0) >= 47, "the head is under the notch");
  const field = await box(".field");
  expect(field?.x).toBeGreaterThanOrEqual(40);
  expect((field?.x ?? 0) + (field?.width ?? 0)).toBeLessThanOrEqual(350);
  expect((field?.y ?? 0) + (field?.height ?? 0)).toBeLessThanOrEqual(844 - 34);
  await chat.button("Conversations").click();
  const panel = chat.page.getByRole("dialog");
  await panel.waitFor();
  expect((await panel.getByRole("heading").boundingBox())?.y).toBeGreaterThanOrEqual(47);
  await chat.page.keyboard.press("Escape");
});

test.each([
  ["upright", phone, 544],
  ["sideways", { width: 844, height: 390 }, 240],
])(
  "on a site the chat fills the screen, held %s, and the keyboard leaves it what is left",
  async (_, size, leftPx) => {
    const window = await page(await browser(), size);
    await window.emulateMedia({ reducedMotion: "reduce" });
    await window.goto(site.url);
    await window.getByRole("button", { name: "Open chat" }).click();
    const frame = window.locator("cip-chat iframe");
    await window.frameLocator("cip-chat iframe").getByRole("textbox", { name: "Message" }).waitFor();
    expect(await frame.boundingBox()).toEqual({ x: 0, y: 0, ...size });
    await openKeyboard(window, size.height - leftPx);
    expect(await frame.boundingBox()).toEqual({ x: 0, y: 0, ...size, height: leftPx });
    await window.frameLocator("cip-chat iframe").getByRole("button", { name: "Close chat" }).click();
    await window.getByRole("button", { name: "Open chat" }).waitFor();
  },
);

test("held sideways there is still room to read", async () => {
  const chat = await openChat(site.url, { width: 844, height: 390 });
  await chat.ask("Hello");
  await chat.idle();
  await chat.box.fill("A line\n".repeat(20));
  expect(await bottomOf(chat.page, "footer")).toBe(390);
  expect((await chat.page.locator("#scroller").boundingBox())?.height).toBeGreaterThan(140);
});

test("storage that throws on touch breaks nothing: a thumb, a comment, the conversations", async () => {
  const window = await page(await browser(), phone);
  await window.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage", "indexedDB"])
      Object.defineProperty(window, name, {
        get() {
          throw new DOMException("blocked", "SecurityError");
        },
      });
  });
  await window.goto(`${site.url}/default`);
  const button = (name: string) => window.getByRole("button", { name, exact: true });
  await window.getByRole("textbox", { name: "Message" }).fill("Hello");
  await window.getByRole("textbox", { name: "Message" }).press("Enter");
  await window.getByText("echo: Hello").waitFor();
  await button("Good answer").click();
  await until(
    async () => (await button("Good answer").getAttribute("aria-pressed")) === "true",
    "it is pressed",
  );
  await button("Conversations").click();
  await button("Delete all my data").click();
  await button("Delete everything").click();
  await window.getByRole("dialog").waitFor({ state: "detached" });
  expect(await window.getByRole("article").count()).toBe(0);
});
