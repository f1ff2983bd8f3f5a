// A site that vouches for its users, and the chat that asks it to.
import { beforeAll, expect, test } from "bun:test";
import { SignJWT } from "jose";
import type { Page } from "playwright-core";
import type { Window } from "./browser.ts";
import { kept } from "./chat.ts";
import { cip, shop, visitWithChat } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

const secret = "a secret that the site and the chat share";

let site: Site;
let origin: string;

beforeAll(async () => {
  origin = shop();
  site = await startSite({
    tenants: {
      vouched: `ALLOWED_ORIGINS=${origin}\nIDENTITY=required\nIDENTITY_SECRET=${secret}`,
    },
  });
});

const open = (window?: Window) => visitWithChat(origin, site.url, 'data-tenant="vouched"', "", window);
const frameOf = (window: Page) =>
  until(() => window.frames().find((frame) => frame.url().startsWith(site.url)), "the chat has its frame");
const vouch = (user: string, seconds: number) =>
  new SignJWT()
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(user)
    .setAudience("vouched")
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

test("a site hears when the chat wants to know and nobody has said", async () => {
  const { launcher, hears } = await open({ expected: [/401/] });
  await launcher().click();
  expect(await hears("error")).toMatchObject({ code: "identity_required" });
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
