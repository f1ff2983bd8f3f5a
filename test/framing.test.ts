// Who may frame the chat and call the API, tried from sites of many names in a real browser.
import { beforeAll, describe, expect, test } from "bun:test";
import { browser, page } from "./browser.ts";
import { type Site, startSite } from "./site.ts";
import { atTheEnd, until } from "./support.ts";

let site: Site;
let port: string;
let otherPort: string;

beforeAll(async () => {
  port = anySite();
  otherPort = anySite();
  site = await startSite({
    tenants: {
      default: "",
      shop: `ALLOWED_ORIGINS=http://shop.example:${port} http://*.wild.example:${port} http://shop.localhost:${port}`,
      open: "ALLOWED_ORIGINS=*",
    },
  });
});

/** Serves the HTML it is given, whatever name it is called by; `?isolated` with the headers that isolate a site. */
function anySite(): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { searchParams } = new URL(request.url);
      const isolated = {
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-opener-policy": "same-origin",
      };
      const headers = { "content-type": "text/html", ...(searchParams.has("isolated") && isolated) };
      return new Response(searchParams.get("html"), { headers });
    },
  });
  atTheEnd(() => server.stop(true));
  return String(server.port);
}

const frame = (tenant: string) => `<iframe src="${site.url}/${tenant}"></iframe>`;
const addressOf = (host: string, html: string) =>
  `http://${host.replace("PORT", port).replace("OTHER", otherPort)}/?html=${encodeURIComponent(`<!doctype html><link rel=icon href=data:,><title>Shop</title>${html}`)}`;

const refused = [
  /frame-ancestors/,
  /ERR_BLOCKED_BY_RESPONSE/,
  /ERR_FAILED/,
  /blocked by CORS policy/,
  /cross-origin/i,
];

/** What becomes of the innermost frame: the chat, or what Chromium shows in place of what it may not. */
async function shownOn(address: string): Promise<"shown" | "refused"> {
  const window = await page(await browser(), { expected: refused });
  await window.goto(address);
  return until(async () => {
    const inner = window.frames().at(-1);
    if (inner?.url().startsWith("chrome-error:")) return "refused" as const;
    return inner && (await inner.locator("textarea").count()) > 0 ? ("shown" as const) : undefined;
  }, "the frame is shown or refused");
}

/** Whether a script of that site can become a visitor. */
async function calledFrom(address: string, tenant: string): Promise<"answered" | "refused"> {
  const window = await page(await browser(), { expected: refused });
  await window.goto(address);
  return window.evaluate(
    (url) =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })
        .then(async (answer) => ((await answer.json()).token ? ("answered" as const) : ("refused" as const)))
        .catch(() => "refused" as const),
    `${site.url}/v1/${tenant}/visitors`,
  );
}

describe("the chat of a tenant that lists its sites", () => {
  test.each([
    ["the site itself", "shop.example:PORT"],
    ["a subdomain, where all are", "a.wild.example:PORT"],
    ["one below that", "a.b.wild.example:PORT"],
  ])("is shown on %s", async (_name, host) => {
    expect(await shownOn(addressOf(host, frame("shop")))).toBe("shown");
    expect(await calledFrom(addressOf(host, ""), "shop")).toBe("answered");
  });

  test.each([
    ["another site", "other.example:PORT"],
    ["a name that begins with the site's", "shop.example.evil.test:PORT"],
    ["a name that ends with the site's", "evilshop.example:PORT"],
    ["a subdomain that is not listed", "www.shop.example:PORT"],
    ["the domain whose subdomains are listed", "wild.example:PORT"],
    ["a name that ends with that domain's", "evilwild.example:PORT"],
    ["another port of the site", "shop.example:OTHER"],
  ])("is refused on %s", async (_name, host) => {
    expect(await shownOn(addressOf(host, frame("shop")))).toBe("refused");
    expect(await calledFrom(addressOf(host, ""), "shop")).toBe("refused");
  });

  test("is refused where a listed site is itself in a frame of another, or has no origin", async () => {
    const listed = addressOf("shop.example:PORT", frame("shop"));
    expect(await shownOn(addressOf("evil.test:PORT", `<iframe src="${listed}"></iframe>`))).toBe("refused");
    const sandboxed = `<iframe sandbox="allow-scripts" src="${listed}"></iframe>`;
    expect(await shownOn(addressOf("shop.example:PORT", sandboxed))).toBe("refused");
  });

  test("is shown on a listed site that is cross-origin isolated", async () => {
    // By a name that counts as secure (W3C Secure Contexts, 3.1), for no other site can isolate itself.
    const address = `${addressOf("shop.localhost:PORT", frame("shop"))}&isolated`;
    const window = await page(await browser());
    await window.goto(address);
    expect(await window.evaluate(() => crossOriginIsolated)).toBe(true);
    expect(await shownOn(address)).toBe("shown");
  });
});

test("a tenant without a list is shown on this server only", async () => {
  expect(await shownOn(addressOf("shop.example:PORT", frame("default")))).toBe("refused");
  expect(await calledFrom(addressOf("shop.example:PORT", ""), "default")).toBe("refused");
  const window = await page(await browser());
  await window.goto(`${site.url}/`);
  expect(await window.evaluate(() => document.title)).not.toBe("");
  await window.evaluate(() => {
    const own = document.createElement("iframe");
    own.src = "/default";
    document.body.append(own);
  });
  await window.frameLocator("iframe[src='/default']").locator("textarea").waitFor();
});

test("ALLOWED_ORIGINS=* is every site", async () => {
  expect(await shownOn(addressOf("other.example:PORT", frame("open")))).toBe("shown");
  expect(await calledFrom(addressOf("other.example:PORT", ""), "open")).toBe("answered");
});
