// The colours: whatever accent a site has, what is written in it or on it can be read, in the light and in the dark.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { contrast, rgbOf, themeOf, themes } from "../src/config/theme.ts";
import { type Chat, openChat, violations } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { repository, temporaryFolder } from "./support.ts";

const logo =
  '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><rect width="90" height="30"/></svg>';

let site: Site;
beforeAll(async () => {
  const cwd = temporaryFolder();
  writeFileSync(join(cwd, "logo.svg"), logo);
  site = await startSite({
    cwd,
    tenants: { default: "", night: "UI_COLOR_SCHEME=dark\nUI_ACCENT=ffd400\nUI_LOGO=logo.svg" },
  });
});

type Variables = Record<string, string>;
const variablesOf = (css: string): Variables =>
  Object.fromEntries(
    [...css.matchAll(/--([\w-]+):\s*(#\w+)/g)].map(([, name = "", value = ""]) => [name, value]),
  );
const readableOn = (one: string, other: string) => contrast(rgbOf(one), rgbOf(other));
const full = (hex: string) => (hex.length === 4 ? hex.replace(/\w/g, "$&$&") : hex);

test.each([
  ["light", "base.css"],
  ["dark", "chat-dark.css"],
] as const)("the %s grounds are those of %s", (theme, file) => {
  const { ground = "", raised = "" } = variablesOf(readFileSync(join(repository, "public", file), "utf8"));
  expect([full(ground), full(raised)]).toEqual([...themes[theme].grounds]);
});

test("any accent gives colours that can be read", () => {
  const steps = ["00", "33", "66", "99", "cc", "ff"];
  const accents = steps.flatMap((r) => steps.flatMap((g) => steps.map((b) => `#${r}${g}${b}`)));
  const ink = { light: "#1a1d24", dark: "#e9ebf0" };
  for (const accent of accents) {
    const [light = "", dark = ""] = themeOf(accent, "all").split("@media all");
    for (const [theme, css] of [
      ["light", light],
      ["dark", dark],
    ] as const) {
      const colours = variablesOf(css);
      const pairs = [
        [colours["on-accent"], colours.accent],
        [colours["on-accent"], colours["accent-hover"]],
        ...themes[theme].grounds.flatMap((ground) => [
          [colours.link, ground],
          [colours["link-hover"], ground],
        ]),
        [ink[theme], colours.bubble],
      ] as [string, string][];
      for (const [one, other] of pairs)
        if (readableOn(one, other) < 4.5)
          throw new Error(`${accent}, ${theme}: ${one} on ${other} is ${readableOn(one, other).toFixed(2)}`);
    }
  }
});

test("an accent that can be read as it is stays as it is", () => {
  expect(variablesOf(themeOf("#2456d6", "all").split("@media")[0] ?? "")).toMatchObject({
    accent: "#2456d6",
    link: "#2456d6",
    "on-accent": "#ffffff",
  });
});

describe("the page", () => {
  const looks = (page: Page) =>
    page.evaluate(() => ({
      ground: getComputedStyle(document.body).backgroundColor,
      send: getComputedStyle(document.querySelector("#send") as Element).backgroundColor,
      scheme: document.querySelector<HTMLMetaElement>("meta[name=color-scheme]")?.content,
    }));
  const dark = "rgb(21, 23, 28)";
  const light = "rgb(255, 255, 255)";
  const typed = async (chat: Chat) => chat.box.fill("Hello");

  test("is as light as the reader's system, unless the site or the address has a scheme", async () => {
    const chat = await openChat(site.url);
    await chat.page.emulateMedia({ colorScheme: "dark" });
    expect(await looks(chat.page)).toMatchObject({ ground: dark, scheme: "light dark" });
    await chat.page.emulateMedia({ colorScheme: "light" });
    expect((await looks(chat.page)).ground).toBe(light);
    await chat.page.goto(`${site.url}/night`);
    expect(await looks(chat.page)).toMatchObject({ ground: dark, scheme: "dark" });
    await chat.page.emulateMedia({ colorScheme: "dark" });
    await chat.page.goto(`${site.url}/night?color-scheme=light`);
    expect(await looks(chat.page)).toMatchObject({ ground: light, scheme: "light" });
  });

  test("has the site's accent, or that of the address if it is a colour", async () => {
    const accents: [path: string, colour: string][] = [
      ["default", "rgb(36, 86, 214)"],
      ["night", "rgb(255, 212, 0)"],
      ["night?accent=c00", "rgb(204, 0, 0)"],
      ["night?accent=red;}*{display:none", "rgb(255, 212, 0)"],
    ];
    for (const [path, colour] of accents) {
      const chat = await openChat(site.url, {}, path);
      await typed(chat);
      expect([path, (await looks(chat.page)).send]).toEqual([path, colour]);
    }
  });

  test("shows the site's logo beside the title, of which it is no part", async () => {
    const chat = await openChat(site.url, {}, "night");
    const image = chat.page.locator("header img");
    expect(
      await image.evaluate((image: HTMLImageElement) => image.decode().then(() => image.naturalWidth)),
    ).toBe(90);
    expect((await image.boundingBox())?.height).toBe(32);
    expect(await chat.page.getByRole("banner").ariaSnapshot()).not.toContain("img");
  });

  test.each(["ffd400", "ffffff", "000000", "00ff88", "808080"])(
    "can be read with the accent %s",
    async (accent) => {
      const chat = await openChat(site.url, {}, `default?accent=${accent}`);
      await chat.ask("A [link](https://example.com)");
      await chat.turns.getByRole("link").waitFor();
      await chat.idle();
      await chat.button("Good answer").click();
      await typed(chat);
      for (const colorScheme of ["light", "dark"] as const) {
        await chat.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        expect([colorScheme, await violations(chat.page)]).toEqual([colorScheme, []]);
      }
    },
  );
});
