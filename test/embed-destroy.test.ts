// What is left of the chat on a page that has sent it away: nothing.
import { beforeAll, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { chatIn } from "./chat.ts";
import { cip, recorder, shop, snippetOf, visit, visitWithChat } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
let origin: string;

beforeAll(async () => {
  origin = shop();
  site = await startSite({
    tenants: {
      listed: `ALLOWED_ORIGINS=${origin}`,
    },
  });
});

const open = (attributes?: string, more?: string) => visitWithChat(origin, site.url, attributes, more);

test("destroy leaves no element, no listener and no timer behind, and a stub that can begin anew", async () => {
  const { window, chat, launcher } = await open(
    'data-tenant="listed"',
    `<main id="chat"></main>${snippetOf(site.url, 'data-tenant="listed" data-target="#chat"')}`,
  );
  const bare = await visit(origin, `<body>${recorder}`);
  const listeners = await listenersOf(bare);
  await chatIn(window.frameLocator("#chat iframe")).box.waitFor();
  await launcher().click();
  await window.locator("cip-chat .window iframe").waitFor();
  expect(await listenersOf(window)).not.toEqual(listeners);
  await window.evaluate(() => {
    const { clearInterval: clear } = globalThis;
    const site = globalThis as unknown as { cleared: number };
    site.cleared = 0;
    globalThis.clearInterval = ((id: number) => {
      site.cleared += 1;
      clear(id);
    }) as typeof clearInterval;
  });
  await cip(window, "destroy");
  await until(async () => (await window.locator("cip-chat").count()) === 0, "it is gone");
  expect(await listenersOf(window)).toEqual(listeners);
  expect(await window.evaluate("cleared")).toBe(1);
  expect(await window.evaluate("Object.keys(cip)")).toEqual(["q"]);

  await window.evaluate((address) => {
    const script = document.createElement("script");
    script.src = address;
    script.dataset.tenant = "listed";
    document.head.append(script);
  }, `${site.url}/embed.js`);
  await cip(window, "open");
  await chat.inFocus();
});

test("destroy before the chat has come means that none comes", async () => {
  const { window } = await open(undefined, "<script>cip('destroy')</script>");
  await window.waitForLoadState("networkidle");
  expect(await window.locator("cip-chat").count()).toBe(0);
});

/** How many listeners of each kind the page's window, document and viewport have. */
async function listenersOf(window: Page): Promise<string[]> {
  const debug = await window.context().newCDPSession(window);
  const found: string[] = [];
  for (const expression of ["window", "document", "visualViewport", "document.documentElement"]) {
    const { result } = await debug.send("Runtime.evaluate", { expression });
    const { listeners } = await debug.send("DOMDebugger.getEventListeners", {
      objectId: result.objectId ?? "",
    });
    found.push(...listeners.map(({ type }) => `${expression}: ${type}`));
  }
  await debug.detach();
  return found.sort();
}
