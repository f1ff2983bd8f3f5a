// What the page says, and in which language: the tenant's, else the visitor's.
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { languages } from "../public/strings.ts";
import { openChat, statusLogged } from "./chat.ts";
import { type Site, startSite } from "./site.ts";
import { repository } from "./support.ts";

describe("the strings", () => {
  const [english, ...others] = [...languages.values()];
  const keys = Object.keys(english ?? {});

  test("are all there in every language, and none is a copy of the English one", () => {
    expect(keys.length).toBeGreaterThan(30);
    for (const strings of others) {
      expect(Object.keys(strings)).toEqual(keys);
      for (const [key, words] of Object.entries(strings)) {
        expect(words.trim()).not.toBe("");
        expect([key, words]).not.toEqual([key, english?.[key as keyof typeof english] ?? ""]);
      }
    }
  });

  test("are all said somewhere", () => {
    const folder = join(repository, "public");
    const sources = [...new Bun.Glob("*.{ts,html}").scanSync(folder)]
      .filter((name) => name !== "strings.ts")
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("\n");
    expect(keys.filter((key) => !sources.includes(`"${key}"`))).toEqual([]);
  });
});

describe("the page", () => {
  let site: Site;
  beforeAll(async () => {
    const hostile = `</script><script>window.ran = true</script> "it's" <!-- & \\u003c`;
    site = await startSite({
      tenants: {
        default: "TENANT_NAME=Plain",
        styled: `UI_TITLE=Fjord — help\nUI_GREETING="Ask about\nour lamps"\nUI_LANGUAGE=ru`,
        hostile: `UI_TITLE='${hostile.replaceAll("'", "")}'\nUI_GREETING='${hostile.replaceAll("'", "")}'`,
        elsewhere: "UI_LANGUAGE=tlh",
      },
    });
  });

  test("speaks Russian to a Russian browser, down to what went wrong", async () => {
    const chat = await openChat(site.url, { locale: "ru-RU", expected: [statusLogged(503)] });
    expect(await chat.page.locator("html").getAttribute("lang")).toBe("ru");
    expect(await chat.page.getByText("Здравствуйте! Чем могу помочь?").isVisible()).toBeTrue();
    await chat.page.route("**/turns", (route) => route.fulfill({ status: 503 }), { times: 1 });
    const box = chat.page.getByRole("textbox", { name: "Сообщение" });
    await box.fill("Привет");
    await box.press("Enter");
    await chat.page
      .getByText("Сервер не смог принять сообщение. Текст сохранён, отправьте его ещё раз.")
      .waitFor();
    await box.press("Enter");
    await chat.shows("echo: Привет");
    expect((await chat.page.locator("body").allInnerTexts()).join()).not.toMatch(/Answer|Message|Send|You/);
  });

  test("speaks the tenant's language, and shows its title and greeting", async () => {
    const chat = await openChat(site.url, {}, "styled");
    expect(await chat.page.locator("html").getAttribute("lang")).toBe("ru");
    expect(await chat.page.title()).toBe("Fjord — help");
    expect(await chat.page.getByRole("heading", { level: 1 }).textContent()).toBe("Fjord — help");
    expect(await chat.greeting.allInnerTexts()).toEqual(["Ask about\nour lamps"]);
    expect(await chat.page.getByRole("button", { name: "Отправить сообщение" }).isVisible()).toBeTrue();
  });

  test("speaks English where neither the tenant's language nor the visitor's is here", async () => {
    const chat = await openChat(site.url, { locale: "fi-FI" }, "elsewhere");
    expect(await chat.page.locator("html").getAttribute("lang")).toBe("en");
    expect(await chat.greeting.textContent()).toBe("Hello! How can I help you?");
  });

  test("takes markup in the tenant's settings for words", async () => {
    const chat = await openChat(site.url, {}, "hostile");
    const words = `</script><script>window.ran = true</script> "its" <!-- & \\u003c`;
    expect([await chat.page.title(), await chat.greeting.textContent()]).toEqual([words, words]);
    expect(await chat.page.evaluate(() => "ran" in window)).toBeFalse();
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
  });

  test("goes by the tenant's name unless it has a title, and is no demo when a model is connected", async () => {
    const chat = await openChat(site.url);
    expect(await chat.page.title()).toBe("Plain");
    expect(await chat.page.getByText("Demo model").isVisible()).toBeFalse();
  });
});
