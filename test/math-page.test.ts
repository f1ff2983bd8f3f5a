// Formulas on the chat page: loaded when an answer has one, read out, steady while it grows, at home on a narrow screen.
import { beforeAll, expect, test } from "bun:test";
import { openChat, violations } from "./chat.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});
const typesetter = (url: string) => url.includes("/assets/typeset-");
const wide = `\\[${Array.from({ length: 40 }, (_, i) => `x_{${i}}`).join(" + ")} = 0\\]`;

test("a formula is MathML that a screen reader reads, drawn by what is loaded only then", async () => {
  const chat = await openChat(site.url);
  const loaded: string[] = [];
  chat.page.on("request", (request) => typesetter(request.url()) && loaded.push(request.url()));
  await chat.ask("Without $5 or $10");
  await chat.idle();
  expect(loaded).toEqual([]);
  site.model.next(answer("It is $\\frac{1}{2}$, so\n\n$$\\sum_{i=1}^n i$$\n\nand \\(\\mathbb{R}\\)."));
  await chat.ask("How much?");
  const formulas = chat.page.getByRole("math");
  await until(async () => (await formulas.count()) === 3, "they are drawn");
  expect(await formulas.locator("mfrac").textContent()).toBe("12");
  expect(await chat.page.locator(".math code").count()).toBe(0);
  expect(loaded).toHaveLength(1);
  await chat.idle();
  expect(await violations(chat.page)).toEqual([]);
  await chat.page.reload();
  await until(async () => (await formulas.count()) === 3, "they are drawn again");
});

test("a formula stays drawn while the answer grows around it", async () => {
  const chat = await openChat(site.url);
  const { release, releaseAll } = site.hold([
    { text: "So $x^2$" },
    { text: " is a square" },
    { text: ", $y" },
    { text: "^2$ too" },
  ]);
  await chat.ask("What?");
  release();
  const formulas = chat.page.getByRole("math");
  await until(async () => (await formulas.count()) === 1, "it is drawn");
  await chat.page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    const look = () => {
      seen.push(document.querySelector(".markdown")?.textContent ?? "");
      requestAnimationFrame(look);
    };
    look();
  });
  releaseAll();
  await until(async () => (await formulas.count()) === 2, "the other is drawn");
  await chat.idle();
  const seen = await chat.page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);
  expect(seen.filter((text) => /[$^]/.test(text))).toEqual([]);
});

test("a formula that is wide scrolls in a box of its own on a narrow screen", async () => {
  const chat = await openChat(site.url, { width: 320, height: 640 });
  site.model.next(answer(`Then:\n\n${wide}\n\nand ${wide.replace("\\[", "\\(").replace("\\]", "\\)")} too.`));
  await chat.ask("All of it");
  await until(async () => (await chat.page.getByRole("math").count()) === 2, "they are drawn");
  const [own, page, inline] = await chat.page.evaluate(() => {
    const widths = (node: Element | null) => [node?.scrollWidth ?? 0, node?.clientWidth ?? 0];
    return [
      widths(document.querySelector(".math.display")),
      widths(document.querySelector("#scroller")),
      widths(document.querySelector(".math:not(.display)")),
    ];
  });
  expect(own?.[0]).toBeGreaterThan((own?.[1] ?? 0) + 200);
  expect(page?.[0]).toBe(page?.[1] as number);
  expect(inline?.[0]).toBe(inline?.[1] as number);
  await chat.page.locator(".math.display").focus();
  await chat.page.keyboard.press("ArrowRight");
  await until(() => chat.page.locator(".math.display").evaluate((box) => box.scrollLeft > 0), "it scrolls");
});

test("a formula is shown as it is written where it cannot be drawn, or what draws it cannot be loaded", async () => {
  const chat = await openChat(site.url, { expected: [/ERR_FAILED/] });
  site.model.next(answer("See $\\nothing{x}$ and $x_1$."));
  await chat.ask("Well?");
  await until(async () => (await chat.page.getByRole("math").count()) === 1, "the other is drawn");
  expect(await chat.page.locator(".math code").allTextContents()).toEqual(["$\\nothing{x}$"]);
  await chat.page.route("**/typeset-*", (route) => route.abort());
  const refused = chat.page.waitForEvent("requestfailed", (request) => typesetter(request.url()));
  await chat.page.reload();
  await refused;
  await chat.idle();
  expect(await chat.page.locator(".math code").allTextContents()).toEqual(["$\\nothing{x}$", "$x_1$"]);
});
