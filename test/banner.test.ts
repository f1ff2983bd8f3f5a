// What the person who starts cip is told about where the chat may be embedded, and what had better be mended.
import { expect, test } from "bun:test";
import { banner } from "../src/banner.ts";
import { load, type Role } from "../src/config/config.ts";
import { repository, temporaryFolder } from "./support.ts";

const list = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `site-${String(from + i).padStart(2, "0")}`);

/** The lines that begin with `word` where the tenants have these ALLOWED_ORIGINS. */
async function told(word: string, origins: Record<string, string>, role: Role = "all") {
  const folder = temporaryFolder();
  for (const [tenant, value] of Object.entries(origins))
    await Bun.write(`${folder}/tenants/${tenant}.env`, value && `ALLOWED_ORIGINS=${value}\n`);
  const config = load(folder, { PROMPT_FILE: `${repository}/prompts/default.md` });
  const lines = banner(config, role, 3000).split("\n");
  return lines.filter((line) => line.startsWith(word) && line.includes("ALLOWED_ORIGINS"));
}

test("tenants without ALLOWED_ORIGINS are named, five at most", async () => {
  expect(await told("Next:", { shop: "https://shop.example" })).toEqual([]);
  const [line, ...more] = await told("Next:", { shop: "https://shop.example", acme: "", blog: "" });
  expect(line).toEndWith("this server only: acme, blog");
  expect(more).toEqual([]);
  const many = Object.fromEntries(list(0, 8).map((id) => [id, ""]));
  expect((await told("Next:", many))[0]).toEndWith(`${list(0, 5).join(", ")} and 3 more`);
});

test("ALLOWED_ORIGINS=* is warned about", async () => {
  expect(await told("Warning:", { shop: "https://shop.example", acme: "" })).toEqual([]);
  expect(await told("Warning:", { shop: "*", acme: "", blog: "*" })).toEqual([
    expect.stringMatching(/any site.* blog, shop$/),
  ]);
});

/** What is told of the configuration with these tenants' files and this environment. */
async function bannerOf(tenants: Record<string, string>, environment: Record<string, string> = {}) {
  const folder = temporaryFolder();
  for (const [tenant, text] of Object.entries(tenants))
    await Bun.write(`${folder}/tenants/${tenant}.env`, text);
  return banner(load(folder, environment), "all", 3000);
}

test("tenants whose visitors may use a real model without bound are named", async () => {
  const real = "LLM_API_KEY=a-key";
  expect(await bannerOf({ demo: "", shop: `${real}\nDAILY_TOKENS_MAX=100000` })).not.toContain(
    "DAILY_TOKENS_MAX",
  );
  expect(await bannerOf({ local: `${real}\nDAILY_TOKENS_MAX=off` })).not.toContain("DAILY_TOKENS_MAX");
  const perVisitor = "DAILY_TOKENS_PER_VISITOR_MAX=100000"; // and of visitors there may be any number
  const text = await bannerOf({ demo: "", shop: real, blog: `${real}\n${perVisitor}` });
  expect(text).toMatch(/\nNext: set DAILY_TOKENS_MAX; without it nothing bounds .*: blog, shop\n/);
});

test("tenants that are for users the site vouches for are named", async () => {
  const secret = `IDENTITY_SECRET=${"k".repeat(32)}`;
  expect(await bannerOf({ shop: secret })).not.toContain("identity");
  const text = await bannerOf({ shop: secret, club: `${secret}\nIDENTITY=required` });
  expect(text).toContain("  identity  required by club\n");
});

test("a worker serves no page, and says nothing of where it may be embedded", async () => {
  const origins = { shop: "*", acme: "" };
  expect([
    ...(await told("Next:", origins, "worker")),
    ...(await told("Warning:", origins, "worker")),
  ]).toEqual([]);
});

test("PUBLIC_URL is said, and each warning of the configuration", () => {
  const config = load(temporaryFolder(), { PUBLIC_URL: "https://chat.example" });
  expect(banner(config, "all", 3000)).toContain("  public    https://chat.example\n");
  const text = banner({ ...config, warnings: ["a file is open", "another is"] }, "all", 3000);
  expect(text).toContain("\nWarning: a file is open\nWarning: another is\n");
});
