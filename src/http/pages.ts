// The pages: the chat that an iframe shows, the loader for other sites, the demo site, and the files they need.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { staticPlugin } from "@elysiajs/static";
import { Elysia } from "elysia";
import { asset } from "../assets.ts";
import type { Tenant } from "../config.ts";
import { type Services, tenantOf } from "./services.ts";

const built = asset("dist/public");
const read = (name: string) => readFileSync(join(built, name), "utf8");

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
];

/** `frameAncestors`: CSP host-sources that may embed the page beside this server itself. */
function page(html: string, frameAncestors: readonly string[]): Response {
  const ancestors = frameAncestors.includes("*") ? "*" : ["'self'", ...frameAncestors].join(" ");
  return new Response(html, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-cache",
      "content-security-policy": [...policy, `frame-ancestors ${ancestors}`].join("; "),
      "referrer-policy": "strict-origin-when-cross-origin",
      "x-content-type-options": "nosniff",
    },
  });
}

export const pages = async (services: Services) => {
  const chat = read("chat.html");
  const demo = read("demo.html");
  const loader = read("embed.js");
  const loaderTag = `"${Bun.hash(loader).toString(36)}"`;
  const [firstTenant] = services.config.tenants.keys();

  return new Elysia({ detail: { hide: true } })
    .use(
      await staticPlugin({
        assets: join(built, "assets"),
        prefix: "/assets",
        alwaysStatic: true,
        indexHTML: false,
        maxAge: 31_536_000, // the names carry a hash of the content
        directive: "public",
        headers: { "x-content-type-options": "nosniff" },
        detail: { hide: true },
      }),
    )
    .get("/", () => page(demo.replaceAll("{{tenant}}", firstTenant ?? ""), []))
    .get("/embed.js", ({ headers }) => {
      const caching = {
        etag: loaderTag,
        "cache-control": "public, max-age=300",
        "access-control-allow-origin": "*",
      };
      if (headers["if-none-match"] === loaderTag)
        return new Response(null, { status: 304, headers: caching });
      return new Response(loader, {
        headers: {
          ...caching,
          "content-type": "text/javascript; charset=utf-8",
          "x-content-type-options": "nosniff",
        },
      });
    })
    .get("/:tenant", ({ params }) => {
      const tenant = tenantOf(services, params.tenant);
      return page(
        chat.replace('{"cip":"page"}', () => pageData(tenant)),
        tenant.allowedOrigins,
      );
    });
};

/** What the chat page knows of its tenant, as JSON that cannot end the script element it stands in. */
function pageData({ id, ui, model, messageCharsMax }: Tenant): string {
  const data = {
    tenant: id,
    title: ui.title,
    greeting: ui.greeting ?? null,
    language: ui.language ?? null,
    demo: model.demo,
    message_chars_max: messageCharsMax,
  };
  return JSON.stringify(data).replaceAll("<", "\\u003c");
}
