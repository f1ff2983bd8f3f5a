// What the server gives browsers beside the API: what the page and the loader know of a site, its logo, and words for
// people where there is no page.
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import arabic from "../public/strings/ar.json";
import { readLogo } from "../src/config/logo.ts";
import { Wrong } from "../src/config/values.ts";
import { browser, page } from "./browser.ts";
import { run, type Server, startServer } from "./server.ts";
import { expectProblem } from "./site.ts";
import { temporaryFolder } from "./support.ts";

/** It says who it is, if it may run a script, and needs its own style to be seen. */
const svg = `<?xml version="1.0"?>
<!-- a logo -->
<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">
  <style>rect { fill: #ff0000 }</style>
  <rect width="20" height="20"/>
  <script>document.documentElement.setAttribute("data-ran", "yes")</script>
</svg>`;
const png = pngOf(3, 2);

let server: Server;
beforeAll(async () => {
  const cwd = temporaryFolder();
  mkdirSync(join(cwd, "logos"));
  writeFileSync(join(cwd, "logos/acme.svg"), svg);
  writeFileSync(join(cwd, "logos/globex"), png);
  server = await startServer({
    cwd,
    tenants: {
      acme: [
        "UI_TITLE=Ask Acme </script>",
        "UI_LANGUAGE=ar",
        "UI_GREETING=Hello",
        "UI_SUGGESTIONS=How much is it? | When will it come?",
        "UI_ACCENT=c8571b",
        "UI_COLOR_SCHEME=dark",
        "UI_POSITION=left",
        "UI_LOGO=logos/acme.svg",
        "MESSAGE_CHARS_MAX=500",
        `IDENTITY_SECRET=${"s".repeat(32)}`,
        "IDENTITY=required",
      ].join("\n"),
      globex: "UI_LOGO=logos/globex",
      plain: "",
    },
  });
});

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${server.url}${path}`, { headers });
const pageData = async (tenant: string) => {
  const html = await (await get(`/${tenant}`)).text();
  return JSON.parse(/<script type="application\/json" id="page">(.*?)<\/script>/.exec(html)?.[1] ?? "");
};

test("the page knows what its site's file says, and what it must not send", async () => {
  expect(await pageData("acme")).toEqual({
    tenant: "acme",
    strings: arabic.page,
    locale: null,
    suggestions: ["How much is it?", "When will it come?"],
    identity: "required",
    demo: true,
    message_chars_max: 500,
  });
  expect(await pageData("plain")).toMatchObject({
    suggestions: [],
    identity: "off",
    message_chars_max: 8000,
  });
});

test("the demo site shows a chat that answers everybody, where there is one", async () => {
  expect(await (await get("/")).text()).toContain('src="/embed.js" data-tenant="globex"'); // acme wants an identity
});

describe("what other sites load", () => {
  test("a module tells the loader how the chat of a site looks", async () => {
    const response = await get("/acme/site.js");
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/javascript; charset=utf-8",
      "cache-control": "public, max-age=300",
      "access-control-allow-origin": "*",
      "cross-origin-resource-policy": "cross-origin",
    });
    const file = join(temporaryFolder(), "site.mjs");
    writeFileSync(file, await response.text());
    const module = (await import(file)) as { default: unknown };
    expect(module.default).toEqual({
      title: "Ask Acme </script>",
      language: "ar",
      accent: "#c8571b",
      color_scheme: "dark",
      position: "left",
      words: expect.objectContaining({ ar: { ...arabic.loader, chat: arabic.page.title } }),
    });
    const refused = await get("/nobody/site.js");
    await expectProblem(refused, 404, "not_found");
    expect(refused.headers.get("access-control-allow-origin")).toBe("*"); // else a browser would blame CORS
  });

  test("the types of the loader are there to be read", async () => {
    const response = await get("/embed.d.ts");
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(await response.text()).toContain("interface Window");
  });

  test.each(["/embed.js", "/embed.d.ts", "/acme/site.js", "/acme/logo", "/robots.txt"])(
    "%s is not sent again to who has it",
    async (path) => {
      const etag = (await get(path)).headers.get("etag") ?? "";
      expect(etag).toMatch(/^"\w+"$/);
      for (const tag of [etag, `W/${etag}`, `"other", ${etag}`]) {
        const again = await get(path, { "if-none-match": tag });
        expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
      }
      expect((await get(path, { "if-none-match": '"other"' })).status).toBe(200);
    },
  );
});

describe("a logo", () => {
  test("is served as what it is, whatever the file is called", async () => {
    const logo = await get("/globex/logo");
    expect(logo.headers.get("content-type")).toBe("image/png");
    expect(new Uint8Array(await logo.arrayBuffer())).toEqual(png);
    expect((await get("/acme/logo")).headers.get("content-type")).toBe("image/svg+xml");
    await expectProblem(get("/plain/logo"), 404, "not_found");
  });

  test("that is an SVG shows in the page with its own style, and runs no script when it is opened", async () => {
    const window = await page(await browser(), { expected: [/Blocked script execution/] });
    await window.goto(`${server.url}/plain`);
    const colour = await window.evaluate(async () => {
      const image = new Image();
      image.src = "/acme/logo";
      await image.decode();
      const canvas = document.createElement("canvas");
      const drawing = canvas.getContext("2d");
      drawing?.drawImage(image, 0, 0);
      return [...(drawing?.getImageData(5, 5, 1, 1).data ?? [])];
    });
    expect(colour).toEqual([255, 0, 0, 255]);
    await window.goto(`${server.url}/acme/logo`);
    expect(await window.evaluate(() => document.documentElement.getAttribute("data-ran"))).toBeNull();
    expect(await window.evaluate(() => self.origin)).toBe("null");
  });

  const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16);
  const webp = Buffer.from("RIFF\x10\0\0\0WEBPVP8 ", "latin1");
  const kinds: [what: string, content: string | Uint8Array, type: string][] = [
    ["a JPEG", jpeg, "image/jpeg"],
    ["a WebP", webp, "image/webp"],
    ["an SVG with a DOCTYPE", `\ufeff<!DOCTYPE svg [<!ENTITY a "b">]>\n<svg/>`, "image/svg+xml"],
  ];
  test.each(kinds)("may be %s", (_what, content, type) => {
    expect(readLogo(fileWith(content))).toMatchObject({ type });
  });

  const refused: [what: string, content: string | Uint8Array | undefined, remedy: string][] = [
    ["is not there", undefined, "names a file that does not exist"],
    ["is a page", "<!doctype html><svg></svg>", "names a file that is no SVG, PNG, JPEG or WebP image"],
    ["is text that speaks of one", "see <svg>", "names a file that is no SVG, PNG, JPEG or WebP image"],
    ["is a GIF", "GIF89a", "names a file that is no SVG, PNG, JPEG or WebP image"],
    ["is empty", "", "names a file that is no SVG, PNG, JPEG or WebP image"],
    ["is too large", `<svg>${" ".repeat(128 * 1024)}</svg>`, "names a file of more than 128 KiB"],
    [
      "is nothing but comments",
      "<!-- -->".repeat(10_000),
      "names a file that is no SVG, PNG, JPEG or WebP image",
    ],
  ];
  test.each(refused)("that %s is refused", (_what, content, remedy) => {
    expect(readLogo(fileWith(content))).toEqual(new Wrong(remedy));
  });

  test("that is a folder is refused", () => {
    expect(readLogo(temporaryFolder())).toEqual(new Wrong("names a folder; it must be a file"));
  });

  test("that is refused is a problem told at the start", async () => {
    const { exitCode, stderr } = await run([], { files: { ".env": "UI_LOGO=.env" } });
    expect(exitCode).toBe(1);
    expect(stderr).toContain(".env: UI_LOGO names a file that is no SVG, PNG, JPEG or WebP image");
  });

  function fileWith(content: string | Uint8Array | undefined): string {
    const path = join(temporaryFolder(), "logo");
    if (content !== undefined) writeFileSync(path, content);
    return path;
  }
});

describe("where there is no page", () => {
  const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

  test.each(["/nobody", "/nobody/at/all", "/acme/nothing", "/plain/logo"])(
    "a browser at %s is told in words, with the status",
    async (path) => {
      const response = await get(path, html);
      expect(response.status).toBe(404);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
        "content-security-policy": expect.stringMatching(
          /^default-src 'none'; style-src 'sha256-[^;]*; .*frame-ancestors \*$/,
        ),
      });
      expect(await response.text()).toContain("There is no chat at this address.");
      await expectProblem(get(path), 404, "not_found");
    },
  );

  test.each([
    ["ru,en;q=0.5", "ru", "По этому адресу нет чата."],
    ["xx, pt-BR;q=0.8", "pt", "Não há nenhum chat neste endereço."],
    ["ar-EG", "ar", arabic.absent.missing],
    ["xx", "en", "There is no chat at this address."],
    ["constructor,toString", "en", "There is no chat at this address."],
  ])("the words for %s are in %s", async (accepted, language, words) => {
    const text = await (await get("/nobody", { ...html, "accept-language": accepted })).text();
    expect(text).toContain(`<html lang="${language}" dir="${language === "ar" ? "rtl" : "ltr"}">`);
    expect(text).toContain(words);
  });

  test("the API answers with a problem, whoever asks", async () => {
    await expectProblem(get("/v1/nobody/conversations", html), 404, "not_found");
    await expectProblem(get("/v1/acme/conversations", html), 401, "unauthorized");
    await expectProblem(
      fetch(`${server.url}/acme`, { method: "POST", headers: html }),
      405,
      "method_not_allowed",
    );
  });

  test("any site may frame the words, which show in its own style", async () => {
    const host = Bun.serve({
      port: 0,
      fetch: () =>
        new Response(`<iframe src="${server.url}/nobody"></iframe>`, {
          headers: { "content-type": "text/html" },
        }),
    });
    const window = await page(await browser(), { expected: [/404/, /favicon/] });
    await window.goto(host.url.href);
    const words = window.frameLocator("iframe").getByText("There is no chat at this address.");
    await words.waitFor();
    expect(await words.evaluate((element) => getComputedStyle(element).textAlign)).toBe("center");
    await host.stop(true);
  });
});

test("what browsers and crawlers ask for unbidden is no tenant", async () => {
  const robots = await get("/robots.txt");
  expect([robots.headers.get("content-type"), await robots.text()]).toEqual([
    "text/plain; charset=utf-8",
    "User-agent: *\nDisallow: /\n",
  ]);
  expect((await get("/favicon.ico")).status).toBe(204);
  await expectProblem(get("/v1"), 404, "not_found");
  await expectProblem(get("/assets"), 404, "not_found");
});

/** A PNG of one grey. */
function pngOf(width: number, height: number): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(Bun.hash.crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 0], 8);
  const rows = deflateSync(Buffer.alloc((width + 1) * height));
  const parts = [chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))];
  return new Uint8Array(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]));
}
