// The pages: the chat that an iframe shows, the demo site, the files they need, and what browsers ask for unbidden.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Elysia } from "elysia";
import { asset } from "../assets.ts";
import { CipError } from "../errors.ts";
import { type File, file, served } from "./cached.ts";
import { chatPage } from "./chatpage.ts";
import { demoHeaders } from "./headers.ts";
import { type Services, tenantOf } from "./services.ts";

const built = asset("dist/public");

export const pages = (services: Services) => {
  const chat = readFileSync(join(built, "chat.html"), "utf8");
  const demo = readFileSync(join(built, "demo.html"), "utf8");
  /** The demo site vouches for nobody. */
  const shown = () => {
    const tenants = [...services.config.tenants.values()];
    return tenants.find(({ identity }) => identity.mode !== "required") ?? tenants[0];
  };

  return (
    new Elysia({ detail: { hide: true } })
      .use(assets)
      .get(
        "/",
        () => new Response(demo.replaceAll("{{tenant}}", shown()?.id ?? ""), { headers: demoHeaders }),
      )
      .get("/robots.txt", ({ headers }) => served(robots, headers["if-none-match"]))
      // The pages bring their own icon, and the rest needs none; without an answer browsers would ask with every page.
      .get(
        "/favicon.ico",
        () => new Response(null, { status: 204, headers: { "cache-control": "max-age=86400" } }),
      )
      .get("/:tenant", ({ params, query, headers }) =>
        chatPage(chat, tenantOf(services, params.tenant), {
          query,
          acceptLanguage: headers["accept-language"],
        }),
      )
      .get("/:tenant/logo", ({ params, headers }) => {
        const { logo } = tenantOf(services, params.tenant).ui;
        if (!logo) throw new CipError("not_found", { detail: "This site has no logo." });
        return served(
          file(logo.bytes, { "content-type": logo.type, "content-security-policy": logoPolicy }),
          headers["if-none-match"],
        );
      })
  );
};

/** What the pages load, each file at an address of its own: nothing else of the file system is within reach. */
function assets(app: Elysia): Elysia {
  const folder = join(built, "assets");
  for (const name of readdirSync(folder)) {
    // The name carries a hash of the content.
    const kept: File = {
      body: Bun.file(join(folder, name)),
      etag: `"${name}"`,
      headers: { "cache-control": "public, max-age=31536000" },
    };
    app.get(`/assets/${name}`, ({ headers }) => served(kept, headers["if-none-match"]));
  }
  return app;
}

/** Chats are found through the sites they are on. */
const robots = file("User-agent: *\nDisallow: /\n", { "content-type": "text/plain; charset=utf-8" });

/**
 * An SVG may hold scripts. In an `img` none of them runs; opened by itself it is sandboxed and may load nothing. Styles
 * in it are part of the drawing, and some browsers hold an image to this policy too.
 */
const logoPolicy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox";
