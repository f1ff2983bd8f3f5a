// Which language the chat speaks, and to whom: the one that is asked for by name, else the site's, else the visitor's.
import { beforeAll, describe, expect, test } from "bun:test";
import { accepted, languageFor, languages } from "../src/config/languages.ts";
import { openChat, statusLogged } from "./chat.ts";
import { withModule } from "./module.ts";
import { shop, snippetOf, visit } from "./shop.ts";
import { type Site, startSite } from "./site.ts";

let site: Site;
let origin: string;
beforeAll(async () => {
  const hostile = `</script><script>window.ran = true</script> "it's" <!-- & \\u003c {{noscript}}`;
  origin = shop();
  site = await startSite({
    tenants: {
      default: "TENANT_NAME=Plain",
      unnamed: `ALLOWED_ORIGINS=${origin}`,
      styled: `UI_TITLE=Fjord — help\nUI_GREETING="Ask about\nour lamps"\nUI_LANGUAGE=ru`,
      hostile: `UI_TITLE='${hostile.replaceAll("'", "")}'\nUI_GREETING='${hostile.replaceAll("'", "")}'`,
      elsewhere: "UI_LANGUAGE=tlh",
    },
  });
});

const htmlOf = async (path: string, acceptLanguage = "") =>
  (await fetch(`${site.url}${path}`, { headers: { "accept-language": acceptLanguage } })).text();
const langOf = async (path: string, acceptLanguage?: string) =>
  /<html lang="(\w+)" dir="(\w+)">/
    .exec(await htmlOf(path, acceptLanguage))
    ?.slice(1)
    .join(" ");

describe("the language", () => {
  test.each([
    ["the address names", "/styled?locale=pt-BR", "fr", "pt ltr"],
    ["the site has set, if the address names one that is not here", "/styled?locale=tlh", "fr", "ru ltr"],
    ["the site has set, if what the address names is none", "/styled?locale=%3Cscript", "fr", "ru ltr"],
    ["the visitor's browser asks for, if the site's is not here", "/elsewhere", "fr-CA,en;q=0.5", "fr ltr"],
    ["the browser wants most", "/unnamed", "en;q=0.4, de;q=0.9, ja;q=0.8", "de ltr"],
    ["it wants next, if the first is not here", "/unnamed", "fi, zh-Hant-TW;q=0.7", "zh ltr"],
    ["the browser accepts, and not the one that it refuses", "/unnamed", "de;q=0, ar;q=0.1", "ar rtl"],
    ["English is, where nothing fits", "/unnamed", "fi, *;q=0.1", "en ltr"],
    ["English is, where the header is nonsense", "/unnamed", ";;q=,de;q=x,=", "en ltr"],
  ])("is the one that %s", async (_which, path, acceptLanguage, wanted) => {
    expect(await langOf(path, acceptLanguage)).toBe(wanted);
  });

  test("of a cached page is never the wrong reader's", async () => {
    expect((await fetch(`${site.url}/unnamed`)).headers.get("vary")).toBe("accept-language");
  });

  test("of a header is found by weight, then by order", () => {
    expect(accepted("a;q=0.2,b , c;q=1.0, d;q=0.20,e; q=0.5")).toEqual(["b", "c", "e", "a", "d"]);
    expect(languageFor(["", undefined, "toString", "PT-pt"]).tag).toBe("pt");
  });
});

test("a page has its words before any script has run, those of its language alone", async () => {
  for (const [tag, { page }] of languages) {
    const html = await htmlOf(`/unnamed?locale=${tag}`);
    expect(html).toContain(`<title>${page.title}</title>`);
    expect(html).toContain(`<noscript>${page.noscript}</noscript>`);
    expect(html).toContain(`aria-label="${page.message}"`);
    expect(html).not.toContain("{{");
    const settings = JSON.parse(/id="page">(.*?)<\/script>/.exec(html)?.[1] ?? "");
    expect(settings.strings).toEqual(page);
  }
});

describe("the page", () => {
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

  test("says when to come back in the sentences of its language", async () => {
    const chat = await openChat(site.url, { locale: "ja-JP", expected: [statusLogged(429)] });
    await chat.page.route("**/turns", (route) =>
      route.fulfill({
        status: 429,
        headers: { "retry-after": "20" },
        json: { code: "too_many_requests" },
      }),
    );
    const box = chat.page.getByRole("textbox", { name: "メッセージ" });
    await box.fill("やあ");
    await box.press("Enter");
    await chat.page
      .getByText("短時間に送信されたメッセージが多すぎます。20 秒後にもう一度送信してください。")
      .waitFor();
  });

  test("shows the title and the greeting of the site", async () => {
    const chat = await openChat(site.url, {}, "styled");
    expect(await chat.page.title()).toBe("Fjord — help");
    expect(await chat.page.getByRole("heading", { level: 1 }).textContent()).toBe("Fjord — help");
    expect(await chat.greeting.allInnerTexts()).toEqual(["Ask about\nour lamps"]);
  });

  test("takes markup in the site's settings for words", async () => {
    const chat = await openChat(site.url, {}, "hostile");
    const words = `</script><script>window.ran = true</script> "its" <!-- & \\u003c {{noscript}}`;
    expect([await chat.page.title(), await chat.greeting.textContent()]).toEqual([words, words]);
    expect(await chat.page.evaluate(() => "ran" in window)).toBeFalse();
    await chat.ask("Hello");
    await chat.shows("echo: Hello");
  });

  test("goes by the site's name unless it has a title, and is no demo when a model is connected", async () => {
    const chat = await openChat(site.url);
    expect(await chat.page.title()).toBe("Plain");
    expect(await chat.page.getByText("Demo model").isVisible()).toBeFalse();
  });
});

describe("the model is told", () => {
  const told = async (path: string, locale: string) => {
    const chat = await openChat(site.url, { locale }, path);
    const { asked, releaseAll } = site.hold([{ text: "…" }]);
    await chat.page.locator("#box").fill("?");
    await chat.page.locator("#box").press("Enter");
    const call = await asked();
    releaseAll();
    return /in this one: (\S+)\./.exec(JSON.stringify(call.body))?.[1];
  };

  test("the language that the address names, whether the page speaks it or not", async () => {
    expect(await told("unnamed?locale=fi", "de-DE")).toBe("fi");
  });

  test("the browser's where none is named, and the site's before all", async () => {
    expect(await told("unnamed", "fi-FI")).toBe("fi-FI");
    expect(await told("styled?locale=fi", "de-DE")).toBe("ru");
  });
});

describe("the button on a site", () => {
  test("counts answers as its language does", async () => {
    const window = await withModule("words.ts");
    const words = Object.fromEntries(
      [...languages].map(([tag, { loader }]) => [tag, { ...loader, chat: "" }]),
    );
    const named = (locale: string, count: number) =>
      window.evaluate(
        ([words, locale, count]) => {
          const { modules } = globalThis as unknown as { modules: typeof import("../public/words.ts") };
          const site = { title: null, accent: "", color_scheme: "", position: "", language: null };
          return modules.wordsFor({ locale, tenant: "", server: "" }, { ...site, words }).unread(count);
        },
        [words, locale, count] as const,
      );
    expect(await named("ru", 1)).toBe("Открыть чат, 1 новый ответ");
    expect(await named("ru-RU", 3)).toBe("Открыть чат, 3 новых ответа");
    expect(await named("ru", 11)).toBe("Открыть чат, 11 новых ответов");
    expect(await named("ar", 2)).toBe("فتح الدردشة، إجابتان جديدتان");
    expect(await named("ja", 2)).toBe("チャットを開く、新しい回答 2 件");
    expect(await named("tlh", 1)).toBe("Open chat, 1 new answer");
  });

  const names: [lang: string, locale: string, attributes: string, name: string][] = [
    ["de-AT", "fr-FR", "", "Chat öffnen"],
    ["tlh", "fr-FR", "", "Ouvrir le chat"],
    ["de", "fr-FR", 'data-locale="ar"', "فتح الدردشة"],
  ];
  test.each(names)(
    "of a page in %s, read in %s, %s has the name %s",
    async (lang, locale, attributes, name) => {
      const html = `<html lang="${lang}"><body>${snippetOf(site.url, `data-tenant="unnamed" ${attributes}`)}`;
      const window = await visit(origin, html, { locale });
      await window.locator("cip-chat").getByRole("button", { name, exact: true }).waitFor();
    },
  );
});
