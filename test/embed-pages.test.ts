// The loader on pages of all kinds: those that swap their content, hide things in shadow roots, or style all there is.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { browser, page, type Window } from "./browser.ts";
import { chatIn } from "./chat.ts";
import { addressOf, shop, snippetOf, visit } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
let origin: string;

beforeAll(async () => {
  origin = shop();
  site = await startSite({
    tenants: {
      listed: `ALLOWED_ORIGINS=${origin}`,
      styled: `ALLOWED_ORIGINS=${origin}\nUI_ACCENT=ffd400\nUI_POSITION=left\nUI_COLOR_SCHEME=dark\nUI_LANGUAGE=es\nUI_TITLE=Ask us`,
    },
  });
});

const snippet = (attributes = 'data-tenant="listed"') => snippetOf(site.url, attributes);
const open = (html: string, window?: Window) => visit(origin, html, window);
const chatOf = (window: Page) => chatIn(window.frameLocator("cip-chat iframe"));
const launcher = (window: Page, name = "Open chat") =>
  window.locator("cip-chat").getByRole("button", { name, exact: true });
const count = (window: Page) => window.locator("cip-chat").count();
/** Puts the script on the page as a script of the page would. */
const addScript = (window: Page, attributes: Record<string, string>) =>
  window.evaluate(
    ([src, attributes]) => {
      const script = document.createElement("script");
      script.src = src;
      for (const [name, value] of Object.entries(attributes)) script.setAttribute(name, value);
      document.body.append(script);
      return new Promise((done) => script.addEventListener("load", done));
    },
    [`${site.url}/embed.js`, attributes] as const,
  );

describe("on a page that changes under it, the chat", () => {
  test("lives through a swap of the whole body, and through the script that comes with the new one", async () => {
    const window = await open(`<body>${snippet()}`);
    const chat = chatOf(window);
    await launcher(window).click();
    await chat.box.fill("half a mess");
    await window.evaluate(() => {
      history.pushState({}, "", "#checkout");
      document.body.replaceWith(document.createElement("body"));
    });
    await addScript(window, { "data-tenant": "listed" });
    await window.waitForLoadState("networkidle");
    expect(await count(window)).toBe(1);
    expect(await chat.box.inputValue()).toBe("half a mess");
  });

  test("comes back with the script, once, where the page has thrown it away", async () => {
    const window = await open(`<body>${snippet()}`);
    await launcher(window).waitFor();
    await window.evaluate(() => document.querySelector("cip-chat")?.remove());
    await addScript(window, { "data-tenant": "listed" });
    await addScript(window, { "data-tenant": "listed" });
    await launcher(window).click();
    await chatOf(window).inFocus();
    expect(await count(window)).toBe(1);
  });

  test("fills its element whenever that is there", async () => {
    const window = await open(`<body>${snippet('data-tenant="listed" data-target="#chat"')}`);
    await window.waitForLoadState("networkidle");
    for (const height of [500, 600]) {
      await window.evaluate((height) => {
        document.querySelector("#chat")?.remove();
        const place = document.createElement("main");
        place.id = "chat";
        place.style.height = `${height}px`;
        document.body.append(place);
      }, height);
      const frame = window.locator("#chat cip-chat iframe");
      await frame.waitFor();
      expect((await frame.boundingBox())?.height).toBe(height);
      await chatOf(window).box.waitFor();
    }
    expect(await count(window)).toBe(1);
  });
});

describe("the script is understood", () => {
  test("in a shadow root, with its element in another", async () => {
    const window = await open("<body><div id=a></div><div id=b></div>");
    await window.evaluate((src) => {
      const [a, b] = ["a", "b"].map((id) => document.getElementById(id)?.attachShadow({ mode: "open" }));
      const place = document.createElement("main");
      place.id = "chat";
      b?.append(place);
      const script = document.createElement("script");
      script.src = src;
      script.dataset.tenant = "listed";
      script.dataset.target = "#chat";
      a?.append(script);
    }, `${site.url}/embed.js`);
    await chatIn(window.frameLocator("#chat cip-chat iframe")).box.waitFor();
  });

  test("as a module, and when a script of the page adds it late", async () => {
    const asModule = await open(`<body>${snippet('data-tenant="listed" type="module"')}`);
    await launcher(asModule).waitFor();
    const late = await open("<body>");
    await addScript(late, { "data-tenant": "listed" });
    await launcher(late).waitFor();
  });
});

describe("the look", () => {
  const look = (window: Page, name?: string) =>
    launcher(window, name).evaluate((button) => {
      const { left } = button.getBoundingClientRect();
      const { backgroundColor, color, zIndex, colorScheme } = getComputedStyle(button);
      return { side: left < innerWidth / 2 ? "left" : "right", backgroundColor, color, zIndex, colorScheme };
    });

  test("is the tenant's, and readable on its colour", async () => {
    const window = await open(`<body>${snippet('data-tenant="styled"')}`);
    await launcher(window, "Abrir chat").waitFor();
    expect(await look(window, "Abrir chat")).toEqual({
      side: "left",
      backgroundColor: "rgb(255, 212, 0)",
      color: expect.stringMatching(/^lch\(0 /),
      zIndex: "2147483647",
      colorScheme: "dark",
    });
    await launcher(window, "Abrir chat").click();
    expect(await window.locator("cip-chat iframe").getAttribute("title")).toBe("Ask us");
  });

  test("is that of the attributes before the tenant's", async () => {
    const attributes =
      'data-tenant="styled" data-position="right" data-accent="#2456d6" data-color-scheme="light" data-z-index="7" data-locale="fr" data-launcher-title="Une question ?" data-greeting="Bonjour !"';
    const window = await open(`<body>${snippet(attributes)}`);
    await launcher(window, "Une question ?").waitFor();
    expect(await look(window, "Une question ?")).toEqual({
      side: "right",
      backgroundColor: "rgb(36, 86, 214)",
      color: expect.stringMatching(/^lch\(100 /),
      zIndex: "7",
      colorScheme: "light",
    });
    await launcher(window, "Une question ?").click();
    await until(async () => (await chatOf(window).greeting.textContent()) === "Bonjour !", "it is greeted");
    const { search } = new URL((await window.locator("cip-chat iframe").getAttribute("src")) ?? "");
    expect(Object.fromEntries(new URLSearchParams(search))).toEqual({
      locale: "fr",
      "color-scheme": "light",
      accent: "2456d6",
    });
  });

  test("is kept where the page styles and hides all there is", async () => {
    const style =
      "<style>html,body{display:block!important} body *, html>*:not(body){display:none!important;z-index:2147483647!important;opacity:0!important} *{direction:rtl;position:absolute;inset:0}</style>";
    const window = await open(`<html dir="rtl">${style}<body><p>Lamps</p>${snippet()}`);
    await window.emulateMedia({ reducedMotion: "reduce" });
    await launcher(window).click();
    await chatOf(window).inFocus();
    const box = await window.locator("cip-chat iframe").boundingBox();
    expect(box).toMatchObject({ width: 400, height: 676 });
    expect((box?.x ?? 0) + 400).toBe(1260);
  });

  test("gives way on paper", async () => {
    const window = await open(`<body>${snippet()}`);
    await launcher(window).waitFor();
    await window.emulateMedia({ media: "print" });
    expect(await launcher(window).isVisible()).toBeFalse();
  });
});

describe("data-open", () => {
  const attributes = 'data-tenant="listed" data-open="true"';

  test("opens the window at first without taking the focus, and not again once it was closed", async () => {
    const window = await open(`<body><input autofocus>${snippet(attributes)}`);
    await chatOf(window).box.waitFor();
    expect(await window.evaluate(() => document.activeElement?.localName)).toBe("input");
    await launcher(window, "Close chat").click();
    await window.reload();
    await launcher(window).waitFor();
    expect(await window.locator("iframe").count()).toBe(0);
  });

  test.each([
    ["upright", { width: 390, height: 844 }],
    ["sideways", { width: 844, height: 390 }],
  ])("leaves a phone its screen, held %s", async (_, phone) => {
    const window = await open(`<body>${snippet(attributes)}`, phone);
    await launcher(window).waitFor();
    expect(await window.locator("iframe").count()).toBe(0);
  });
});

test("a frame that is given no leave for the clipboard copies all the same", async () => {
  const frame = `<iframe src="${site.url}/listed" width="400" height="600"></iframe>`;
  const window = await open(`<body>${frame}<textarea></textarea>`, {
    expected: [/Clipboard API has been blocked/],
  });
  const chat = chatIn(window.frameLocator("iframe"));
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  await chat.button("Copy answer").click();
  await chat.button("Copied").waitFor();
  expect(await chat.button("Copied").evaluate((node) => node.matches(":focus"))).toBeTrue();
  await window.locator("textarea").focus();
  await window.keyboard.press("Control+V");
  expect(await window.locator("textarea").inputValue()).toBe("echo: Hello");
});

test("Escape on the page closes the window, and the focus goes back to where it came from", async () => {
  const window = await open(`<body>${snippet()}`);
  await launcher(window).click();
  await chatOf(window).inFocus();
  await launcher(window, "Close chat").focus();
  await window.keyboard.press("Escape");
  await launcher(window).waitFor();
  expect(await launcher(window).evaluate((node) => node.matches(":focus"))).toBeTrue();
});

test("storage that is blocked keeps nobody from the chat", async () => {
  const window = await page(await browser());
  await window.addInitScript(() => {
    Object.defineProperty(window, "sessionStorage", {
      get() {
        throw new DOMException("blocked", "SecurityError");
      },
    });
  });
  await window.goto(addressOf(origin, `<body>${snippet('data-tenant="listed" data-open')}`));
  await launcher(window, "Close chat").click();
  await launcher(window).click();
  await chatOf(window).inFocus();
});

test("a click that finds the server away is only lost: the next one opens the chat", async () => {
  const window = await page(await browser(), { expected: [/ERR_FAILED/, /^cip: /] });
  await window.goto(addressOf(origin, `<body>${snippet()}`));
  await launcher(window).waitFor();
  await window.route("**/commands.js*", (route) => route.abort());
  const said = window.waitForEvent("console", (message) => message.text().startsWith("cip: "));
  await launcher(window).click();
  await said;
  await window.unroute("**/commands.js*");
  await launcher(window).click();
  await chatOf(window).inFocus();
});
