// What the pages of other sites load: the loader, its types, and what it must know of a chat before it shows one.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Elysia } from "elysia";
import { asset } from "../assets.ts";
import type { Tenant } from "../config/config.ts";
import { languages } from "../config/languages.ts";
import { file, served } from "./cached.ts";
import { publicHeaders } from "./headers.ts";
import { type Services, tenantOf } from "./services.ts";

const script = { ...publicHeaders, "content-type": "text/javascript; charset=utf-8" };
const text = { ...publicHeaders, "content-type": "text/plain; charset=utf-8" };

export const embed = (services: Services) => {
  const built = (name: string) => readFileSync(join(asset("dist/public"), name), "utf8");
  const loader = file(built("embed.js"), script);
  const commands = file(built("commands.js"), script);
  const types = file(built("embed.d.ts"), text);

  return new Elysia({ detail: { hide: true } })
    .get("/embed.js", ({ headers }) => served(loader, headers["if-none-match"]))
    .get("/commands.js", ({ headers }) => served(commands, headers["if-none-match"]))
    .get("/embed.d.ts", ({ headers }) => served(types, headers["if-none-match"]))
    .get("/:tenant/site.js", ({ params, headers, set }) => {
      // The refusal of an unknown site too, or a browser would say nothing of it but that CORS is in the way.
      Object.assign(set.headers, publicHeaders);
      return served(file(site(tenantOf(services, params.tenant)), script), headers["if-none-match"]);
    });
};

/** Of all languages: which one the loader speaks depends on the page it is on, and may change there. */
const words = Object.fromEntries(
  [...languages].map(([tag, { page, loader }]) => [tag, { ...loader, chat: page.title }]),
);

/** A module, since the policy of a site that lets the loader in lets its imports in too. */
function site({ ui }: Tenant): string {
  const data = {
    title: ui.title ?? null,
    language: ui.language ?? null,
    accent: ui.accent,
    color_scheme: ui.colorScheme,
    position: ui.position,
    words,
  };
  return `export default ${JSON.stringify(data)};\n`;
}
