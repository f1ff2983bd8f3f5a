// Somebody's site, which is not the chat's: pages made up by a test, under a policy as strict as a site can have.
import type { Page } from "playwright-core";
import { browser, page, type Window } from "./browser.ts";
import { chatIn } from "./chat.ts";
import { atTheEnd, until } from "./support.ts";

/**
 * Serves the HTML it is given as `?html=`, under a policy that allows one other origin to be loaded from and framed,
 * and nothing else; without `other` under none. By its address, so that it is another site than localhost.
 */
export function shop(other?: () => string): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const policy = `default-src 'none'; script-src ${other?.()}; frame-src ${other?.()}; require-trusted-types-for 'script'`;
      return new Response(new URL(request.url).searchParams.get("html"), {
        headers: {
          "content-type": "text/html; charset=utf-8",
          ...(other && { "content-security-policy": policy }),
        },
      });
    },
  });
  atTheEnd(() => server.stop(true));
  return server.url.origin;
}

export const addressOf = (origin: string, html: string) =>
  `${origin}/?html=${encodeURIComponent(`<!doctype html><title>Shop</title>${html}`)}`;

/** The tag that puts the chat of `url` on a page. */
export const snippetOf = (url: string, attributes: string) =>
  `<script src="${url}/embed.js" ${attributes} async></script>`;

/** A window with that page of the site. */
export async function visit(origin: string, html: string, window: Window = {}): Promise<Page> {
  const opened = await page(await browser(), window);
  await opened.goto(addressOf(origin, html));
  return opened;
}

/** What a site says to `window.cip`, whether the loader is there already or not. */
export function cip(page: Page, ...call: unknown[]): Promise<void> {
  return page.evaluate((call) => {
    const site = window as unknown as { cip: (...call: unknown[]) => void };
    site.cip(...call);
  }, call);
}

/** The line that README.md gives, and a record of all that the site hears of. */
export const recorder = `<script>
window.cip=window.cip||function(){(cip.q=cip.q||[]).push(arguments)};
window.heard = [];
for (const event of ["ready", "open", "close", "message", "answer", "unread", "error"])
  cip("on", event, (detail) => heard.push({ event, ...detail }));
</script>`;

type Heard = { event: string; tenant: string; [more: string]: unknown };

/** A page of that site which hears all and has the chat in its corner, with the HTML `more` before it. */
export async function visitWithChat(
  origin: string,
  url: string,
  attributes = 'data-tenant="listed"',
  more = "",
  window: Window = {},
) {
  const opened = await visit(origin, `<body>${recorder}${more}${snippetOf(url, attributes)}`, window);
  const heard = () => opened.evaluate(() => (window as unknown as { heard: Heard[] }).heard);
  return {
    window: opened,
    chat: chatIn(opened.frameLocator("cip-chat iframe")),
    heard,
    hears: (event: string) =>
      until(async () => (await heard()).find((one) => one.event === event), `${event} is heard`),
    launcher: (name = "Open chat") => opened.locator("cip-chat").getByRole("button", { name, exact: true }),
  };
}
