// A site that vouches for its users, and the chat that asks it to.
import { beforeAll, describe, expect, test } from "bun:test";
import { SignJWT } from "jose";
import type { Page } from "playwright-core";
import type { Window } from "./browser.ts";
import { kept, statusLogged } from "./chat.ts";
import { cip, shop, visitWithChat } from "./shop.ts";
import { type Site, siteOf, startSite } from "./site.ts";
import { until } from "./support.ts";

const secret = "a secret that the site and the chat share";

let site: Site;
let origin: string;

beforeAll(async () => {
  origin = shop();
  site = await startSite({
    tenants: {
      vouched: `ALLOWED_ORIGINS=${origin}\nIDENTITY=required\nIDENTITY_SECRET=${secret}`,
      both: `ALLOWED_ORIGINS=${origin}\nIDENTITY=optional\nIDENTITY_SECRET=${secret}`,
    },
  });
});

const open = (window?: Window, tenant = "vouched") =>
  visitWithChat(origin, site.url, `data-tenant="${tenant}"`, "", window);
const frameOf = (window: Page) =>
  until(() => window.frames().find((frame) => frame.url().startsWith(site.url)), "the chat has its frame");
const vouch = (user: string, seconds: number, audience = "vouched") =>
  new SignJWT()
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setAudience(audience)
    .setExpirationTime(`${seconds} s`)
    .sign(new TextEncoder().encode(secret));

test("a site says who the visitor is when there is a chat to tell, and again before that ends", async () => {
  const { window, chat, launcher } = await open();
  let asked = 0;
  await window.exposeFunction("fetchToken", () => {
    asked += 1;
    return vouch("ann", 8);
  });
  await window.evaluate("cip('identify', () => fetchToken())");
  await launcher().waitFor();
  expect(asked).toBe(0);
  await launcher().click();
  await until(() => asked > 0, "it is asked");
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  expect(asked).toBe(1);
  const { token } = await kept((await frameOf(window)) as unknown as Page, "vouched");
  expect(JSON.parse(atob(token.split(".")[1] ?? "")).sub).toContain("ann");
  await until(() => asked > 1, "it is asked again");
});

describe.each(["vouched", "both"])(
  "a message of a visitor whom the site is still looking up, in %s",
  (tenant) => {
    /** A site that takes as long to say who the visitor is as the test wants. */
    async function slow() {
      const opened = await open({}, tenant);
      const looked = Promise.withResolvers<void>();
      await opened.window.exposeFunction("fetchToken", async () => {
        await looked.promise;
        return vouch("ann", 3600, tenant);
      });
      await opened.window.evaluate("cip('identify', () => fetchToken())");
      return { ...opened, found: () => looked.resolve() };
    }
    const askedOf = (window: Page) =>
      window.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/turns"));
    async function expectStored(window: Page, message: string) {
      const { token } = await kept((await frameOf(window)) as unknown as Page, tenant);
      expect(JSON.parse(atob(token.split(".")[1] ?? "")).sub).toBe("user:ann");
      const { conversations } = await siteOf(site.url, tenant).conversations(token);
      expect(conversations[0]?.title).toBe(message);
      expect(site.model.calls.filter((call) => JSON.stringify(call.body).includes(message))).toHaveLength(1);
    }

    test("is shown, waits for that and is answered", async () => {
      const { window, chat, launcher, hears, found } = await slow();
      await launcher().click();
      await hears("ready");
      const message = `Typed in ${tenant}`;
      await chat.ask(message);
      await until(async () => (await chat.turns.count()) === 1, "it is shown");
      found();
      await chat.shows(`echo: ${message}`);
      await chat.idle();
      expect(await chat.turns.count()).toBe(1);
      await expectStored(window, message);
    });

    test("that the site sends does so too, with its context", async () => {
      const { window, chat, found } = await slow();
      const message = `Sent in ${tenant}`;
      const asked = askedOf(window);
      await cip(window, "send", message, { context: { fields: { sku: "F-1" } } });
      await until(async () => (await chat.turns.count()) === 1, "it is shown");
      found();
      await chat.shows(`echo: ${message}`);
      await chat.idle();
      expect((await asked).postDataJSON()).toMatchObject({ context: { fields: { sku: "F-1" } } });
      await expectStored(window, message);
    });
  },
);

test("a site that never says who the visitor is delays a message, and loses none", async () => {
  const { window, chat } = await open({}, "both");
  await window.evaluate("cip('identify', () => new Promise(() => {}))");
  await cip(window, "send", "Anyone?");
  await until(async () => (await chat.text()) === "echo: Anyone?", "it is answered", 30_000);
});

test("a visitor who signs out while they are being signed in stays signed out", async () => {
  const { window, chat, launcher, hears } = await open({}, "both");
  await launcher().click();
  await hears("ready");
  const held = Promise.withResolvers<void>();
  await window.route("**/visitors", async (route) => {
    await held.promise;
    await route.continue();
  });
  const asked = window.waitForRequest("**/visitors");
  const answered = window.waitForResponse("**/visitors");
  await cip(window, "identify", await vouch("dora", 3600, "both"));
  await asked;
  await cip(window, "logout");
  held.resolve();
  await answered;
  await chat.ask("Who am I?");
  await chat.shows("echo: Who am I?");
  const { token } = await kept((await frameOf(window)) as unknown as Page, "both");
  expect(JSON.parse(atob(token.split(".")[1] ?? "")).sub).not.toContain("dora");
});

test("a site that has nobody signed in hears so, and the visitor is asked to sign in at once", async () => {
  const { window, chat, launcher, hears } = await open({ expected: [statusLogged(401)] });
  await launcher().click();
  expect(await hears("error")).toMatchObject({ code: "identity_required" });
  const signIn = chat.refusal.getByText("Please sign in on this site to use the chat.");
  await signIn.waitFor();
  await chat.ask("Hello");
  await signIn.waitFor();
  expect(await chat.box.inputValue()).toBe("Hello");
  await cip(window, "identify", await vouch("cleo", 3600));
  await signIn.waitFor({ state: "hidden" });
  await chat.box.press("Enter");
  await chat.shows("echo: Hello");
});

test("a function that finds nobody signed in may give nothing", async () => {
  const { window, chat, launcher } = await open();
  await window.evaluate("cip('identify', async () => null)");
  await launcher().click();
  await chat.refusal.getByText("Please sign in on this site to use the chat.").waitFor();
});

test("a site hears why an identity is refused", async () => {
  const { window, launcher, hears } = await open({
    expected: [statusLogged(401), /^cip: The JWT's aud must be/],
  });
  await cip(window, "identify", await vouch("ann", 3600, "another"));
  await launcher().click();
  const { code, message } = await hears("error");
  expect(code).toBe("identity_invalid");
  expect(message).toContain("aud");
});

test("a site has the chat forget who was here", async () => {
  const { window, chat, launcher } = await open();
  await cip(window, "identify", await vouch("bob", 3600));
  await launcher().click();
  await chat.ask("Hello");
  await chat.shows("echo: Hello");
  await chat.idle();
  await cip(window, "logout");
  await until(async () => (await chat.turns.count()) === 0, "the conversation is gone");
  const frame = await frameOf(window);
  expect(
    await frame.evaluate(() => Object.keys(localStorage).filter((key) => key.includes("token"))),
  ).toEqual([]);
});
