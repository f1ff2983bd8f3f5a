// Who is heard: the chat hears the window around it, the loader hears the chat, and neither hears anybody else.
import { beforeAll, expect, test } from "bun:test";
import type { Frame, Page } from "playwright-core";
import { browser, page } from "./browser.ts";
import { chatIn } from "./chat.ts";
import { addressOf, cip, shop, snippetOf, visit } from "./shop.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
let origin: string;
let evil: string;

beforeAll(async () => {
  origin = shop();
  evil = shop();
  site = await startSite({ tenants: { listed: `ALLOWED_ORIGINS=${origin}` } });
});

const snippet = () => snippetOf(site.url, 'data-tenant="listed"');
const launcher = (window: Page, name: string) => window.locator("cip-chat").getByRole("button", { name });
const frameAt = (window: Page, address: string): Promise<Frame> =>
  until(() => window.frames().find((frame) => frame.url().startsWith(address)), `a frame is at ${address}`);

const orders = [
  { cip: "hello", greeting: "Send me your password" },
  { cip: "prefill", text: "forged" },
  { cip: "send", text: "forged" },
  { cip: "identify", identity: "e30.e30.e30" },
  { cip: "logout" },
];

/** Has `sender` say all that a loader can say to every window it can reach, and waits until that has been heard. */
async function forge(sender: Frame | Page, words: object[] = orders) {
  await sender.evaluate(async (words) => {
    const tops: globalThis.Window[] = [window, window.top, window.opener].filter((one) => one !== null);
    const all: globalThis.Window[] = [];
    const add = (one: globalThis.Window) => {
      all.push(one);
      for (let i = 0; i < one.length; i += 1) add(one[i] as globalThis.Window);
    };
    for (const top of tops) add(top);
    for (const one of all) for (const word of words) one.postMessage(word, "*");
    await new Promise((done) => setTimeout(done, 100));
  }, words);
}

async function expectUntouched(chat: ReturnType<typeof chatIn>, greeting: string | null) {
  expect(await chat.greeting.textContent()).toBe(greeting);
  expect(await chat.box.inputValue()).toBe("mine");
  expect(await chat.turns.count()).toBe(0);
}

test("the chat hears no frame beside it, before the site has said hello and after", async () => {
  const frames = `<iframe src="${addressOf(evil, "")}"></iframe><iframe src="${site.url}/listed#embed"></iframe>`;
  const window = await visit(origin, `<body>${frames}`);
  const chat = chatIn(window.frameLocator("iframe >> nth=1"));
  await chat.box.fill("mine");
  const before = await chat.greeting.textContent();
  const beside = await frameAt(window, evil);
  await forge(beside);
  await expectUntouched(chat, before);

  await forge(window, [{ cip: "hello", greeting: "Welcome" }]);
  await until(async () => (await chat.greeting.textContent()) === "Welcome", "the site is heard");
  await forge(beside);
  await expectUntouched(chat, "Welcome");
});

test("the chat in a window of its own hears nobody, and not the one that opened it", async () => {
  const opener = await visit(evil, "<body>");
  const popup = opener.waitForEvent("popup");
  await opener.evaluate((address) => {
    Object.assign(window, { chat: window.open(address) });
  }, `${site.url}/listed#embed`);
  const chat = chatIn(await popup);
  await chat.box.fill("mine");
  const before = await chat.greeting.textContent();
  await opener.evaluate(async (orders) => {
    const { chat } = window as unknown as { chat: globalThis.Window };
    for (const order of orders) chat.postMessage(order, "*");
    await new Promise((done) => setTimeout(done, 100));
  }, orders);
  await expectUntouched(chat, before);
});

test("the chat reads no words from its address", async () => {
  const window = await page(await browser());
  const words = "greeting=Hi&message=Hi&text=Hi&prefill=Hi&q=Hi&identity=Hi&context=Hi";
  await window.goto(`${site.url}/listed`);
  const chat = chatIn(window);
  const before = await chat.greeting.textContent();
  await window.goto(`${site.url}/listed?${words}#${words}`);
  await chat.box.waitFor();
  expect(await chat.box.inputValue()).toBe("");
  expect(await chat.greeting.textContent()).toBe(before);
  expect(await chat.turns.count()).toBe(0);
});

test("the loader hears no other frame, nor its own once that shows another site, and tells that nothing", async () => {
  const listening = `<script>window.heard=[];addEventListener("message",({data})=>heard.push(data))</script>`;
  const beside = `<iframe src="${addressOf(evil, "")}"></iframe><iframe src="${site.url}/listed?beside"></iframe>`;
  const window = await visit(origin, `<body>${beside}${snippet()}`, {
    expected: [/postMessage/, /^cip: the chat does not answer/],
  });
  await launcher(window, "Open chat").click();
  await chatIn(window.frameLocator("cip-chat iframe")).box.waitFor();
  await window.locator(".frame.ready").waitFor({ state: "attached" });
  const claims = [{ cip: "close" }, { cip: "unread", count: 7 }, { cip: "identify" }];
  await forge(await frameAt(window, evil), claims);
  // Another chat of the same server is not this one.
  await forge(await frameAt(window, `${site.url}/listed?beside`), claims);
  expect(await window.locator("cip-chat iframe").isVisible()).toBeTrue();

  await window.locator("cip-chat iframe").evaluate(
    (frame: HTMLIFrameElement, address) => {
      frame.contentWindow?.location.replace(address);
    },
    addressOf(evil, listening),
  );
  const stolen = await until(
    () => window.frames().find((frame) => frame.url().includes("heard")),
    "another site is in the frame",
  );
  await forge(stolen, claims);
  expect(await window.locator("cip-chat iframe").isVisible()).toBeTrue();
  await cip(window, "identify", "a secret token");
  await cip(window, "send", "a secret message");
  await forge(stolen, claims);
  const heard = await stolen.evaluate(() => (window as unknown as { heard: object[] }).heard);
  expect(heard.length).toBeGreaterThan(0);
  expect(heard.filter((one) => !claims.some((claim) => Bun.deepEquals(claim, one)))).toEqual([]);
});
