// The chat on other people's sites: who may frame it, and the loader under a policy as strict as a host can have.
import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { languages } from "../src/config/languages.ts";
import { browser, page } from "./browser.ts";
import { chatIn, statusLogged } from "./chat.ts";
import { addressOf, shop, snippetOf, visit } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { repository, until } from "./support.ts";

let site: Site;
let hosts: { listed: string; unlisted: string; framing: string };

beforeAll(async () => {
  const listed = shop(() => site.url);
  hosts = { listed, unlisted: shop(() => site.url), framing: shop(() => listed) };
  site = await startSite({
    tenants: {
      default: "",
      listed: `ALLOWED_ORIGINS=https://elsewhere.example, ${listed}`,
      open: "ALLOWED_ORIGINS=*",
    },
  });
});

const snippet = (attributes = 'data-tenant="listed"') => snippetOf(site.url, attributes);

describe("a page of another site", () => {
  const refused = [/frame-ancestors/, /net::ERR_BLOCKED_BY_RESPONSE/];
  const frame = (tenant: string) => `<body><iframe src="${site.url}/${tenant}"></iframe>`;

  test.each([
    ["listed", "listed"],
    ["unlisted", "open"],
  ] as const)("that is %s may frame the tenant %s", async (origin, tenant) => {
    const window = await visit(hosts[origin], frame(tenant));
    const chat = chatIn(window.frameLocator("iframe"));
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
  });

  test.each([
    ["unlisted", "listed"],
    ["listed", "default"],
  ] as const)("that is %s may not frame the tenant %s", async (origin, tenant) => {
    const window = await visit(hosts[origin], frame(tenant), { expected: refused });
    await until(() => window.frames()[1]?.url().startsWith("chrome-error:"), "the frame is refused");
  });

  test("may not frame the demo site", async () => {
    const window = await visit(hosts.listed, frame(""), { expected: refused });
    await until(() => window.frames()[1]?.url().startsWith("chrome-error:"), "the frame is refused");
  });

  test("may not frame a listed one that frames the chat", async () => {
    const inner = addressOf(hosts.listed, frame("listed"));
    const window = await visit(hosts.framing, `<iframe src="${inner}"></iframe>`, { expected: refused });
    await until(() => window.frames()[2]?.url().startsWith("chrome-error:"), "the frame is refused");
  });
});

describe("the loader", () => {
  test("puts the chat on a site whose policy forbids all but that", async () => {
    const window = await visit(hosts.listed, `<body><p>Lamps</p>${snippet()}`);
    await window.getByRole("button", { name: "Open chat" }).click();
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    await chat.inFocus();
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    // The style has come through: the button floats in its corner, round.
    const button = window.getByRole("button", { name: "Close chat" }).first();
    expect(await button.evaluate((node) => getComputedStyle(node).position)).toBe("fixed");
    await button.click();
    expect(await chat.box.isVisible()).toBeFalse();
    await window.getByRole("button", { name: "Open chat" }).click();
    expect(await chat.text()).toBe("echo: Hello");
  });

  test("is open on the site's next page as it was left, with the conversation", async () => {
    const window = await visit(hosts.listed, `<body>${snippet()}`);
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    await window.getByRole("button", { name: "Open chat" }).click();
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    await chat.idle();
    await window.goto(addressOf(hosts.listed, `<body><input autofocus>${snippet()}`));
    await chat.shows("echo: Hello");
    // What the visitor has not just opened does not take the focus.
    expect(await window.evaluate(() => document.activeElement?.localName)).toBe("input");
    await window.getByRole("button", { name: "Close chat" }).first().click();
    await window.reload();
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    expect(await window.locator("iframe").count()).toBe(0);
  });

  test("loads nothing of the chat until it is opened", async () => {
    const requests: string[] = [];
    const window = await page(await browser());
    window.on("request", (request) => requests.push(new URL(request.url()).pathname));
    await window.goto(addressOf(hosts.listed, snippet()));
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    expect(requests).toEqual(["/", "/embed.js", "/listed/site.js"]);
  });

  test.each(["in the head", "in the body"])("twice on a page, %s, is still one chat", async (place) => {
    const both = snippet().repeat(2);
    const window = await visit(
      hosts.listed,
      place === "in the head" ? `<head>${both}</head><body>` : `<body>${both}`,
    );
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    await window.waitForLoadState();
    expect(await window.locator("cip-chat").count()).toBe(1);
  });

  test("fills the element it is given, as tall as that is", async () => {
    const window = await visit(
      hosts.listed,
      `<body><textarea hidden></textarea><main id="chat"></main>${snippet('data-tenant="listed" data-target="#chat"')}`,
    );
    await window.locator("#chat").evaluate((node) => {
      node.style.height = "600px";
    });
    const chat = chatIn(window.frameLocator("#chat cip-chat iframe"));
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
    expect(await chat.button("Close chat").isVisible()).toBeFalse();
    expect((await window.locator("#chat iframe").boundingBox())?.height).toBe(600);
    expect(await window.getByRole("button", { name: "Open chat" }).count()).toBe(0);
  });

  test("touches nothing of the page, and no style of it reaches the chat", async () => {
    const globals = (window: Awaited<ReturnType<typeof visit>>) =>
      window.evaluate(() => Object.keys(globalThis));
    const without = await visit(hosts.listed, "<body><p>Lamps</p>");
    const window = await visit(hosts.listed, `<body><p>Lamps</p>${snippet()}`);
    await window.getByRole("button", { name: "Open chat" }).waitFor();
    expect(await globals(window)).toEqual([...(await globals(without)), "cip"]);
    expect(await window.locator("body").allInnerTexts()).toEqual(["Lamps"]);
    await window.evaluate(() => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync("* { display: none !important; } button { width: 5px; }");
      document.adoptedStyleSheets = [sheet];
      document.documentElement.style.display = document.body.style.display = "block";
    });
    const inside = window.locator("cip-chat button");
    expect(await inside.evaluate((node) => getComputedStyle(node).width)).not.toBe("5px");
  });

  test("says on the console what may be wrong where the chat does not answer", async () => {
    const expected = [/frame-ancestors/, /ERR_BLOCKED_BY_RESPONSE/, /postMessage/, /^cip: /];
    const window = await visit(hosts.unlisted, `<body>${snippet()}`, { expected });
    const said = window.waitForEvent("console", (message) => message.text().startsWith("cip: "));
    await window.getByRole("button", { name: "Open chat" }).click();
    expect((await said).text()).toContain(`Is ${hosts.unlisted} in its ALLOWED_ORIGINS?`);
  });

  test("leaves its own button on a phone until the chat has one, so that nobody is caught in it", async () => {
    const phone = { width: 390, height: 844 };
    const refused = [/frame-ancestors/, /ERR_BLOCKED_BY_RESPONSE/, /postMessage/, /^cip: /];
    const wrong = await visit(hosts.unlisted, snippet(), { ...phone, expected: refused });
    await wrong.getByRole("button", { name: "Open chat" }).click();
    await wrong.getByRole("button", { name: "Close chat" }).click();
    await wrong.getByRole("button", { name: "Open chat" }).waitFor();

    const right = await visit(hosts.listed, snippet(), phone);
    await right.getByRole("button", { name: "Open chat" }).click();
    await right.frameLocator("cip-chat iframe").getByRole("button", { name: "Close chat" }).waitFor();
    await until(
      async () => (await right.locator("cip-chat button").isVisible()) === false || null,
      "it gives way",
    );
  });

  test("speaks the language of the page", async () => {
    const window = await visit(hosts.listed, `<html lang="ru"><body>${snippet()}`);
    await window.getByRole("button", { name: "Открыть чат" }).click();
    await window.getByRole("button", { name: "Закрыть чат" }).waitFor();
  });

  test.each([
    ["", "data-tenant"],
    ['data-tenant="listed" data-target="#nowhere"', "#nowhere"],
    ['data-tenant="misspelled"', "misspelled"],
  ])("says on the console what is wrong with a snippet of %p", async (attributes, what) => {
    const window = await page(await browser(), { expected: [/^cip: /, statusLogged(404)] });
    const said = window.waitForEvent("console", (message) => message.text().startsWith("cip: "));
    await window.goto(addressOf(hosts.listed, `<body>${snippet(attributes)}`));
    expect((await said).text()).toContain(what);
    expect(await window.locator("cip-chat").count()).toBe(0);
  });
});

describe("what a visitor downloads", () => {
  const built = join(repository, "dist/public");
  const gzipBytes = async (pattern: string) => {
    const files = [...new Bun.Glob(pattern).scanSync(built)];
    const sizes = files.map(async (file) => gzipSync(await Bun.file(join(built, file)).bytes()).length);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  };

  test("is at most 3 kB for the loader, 4.5 kB for its commands once it is used, and 45 kB for the chat", async () => {
    expect(await gzipBytes("embed.js")).toBeWithin(500, 3_000);
    expect(await gzipBytes("commands.js")).toBeWithin(500, 4_500);
    const words = [...languages.values()].map(({ page }) => gzipSync(JSON.stringify(page)).length);
    expect((await gzipBytes("**/chat*")) + Math.max(...words)).toBeWithin(10_000, 45_000);
  });
});
