// The few lines that the person who starts cip reads: where it is, what it runs on, what to set next.
import pkg from "../package.json" with { type: "json" };
import type { Config, Role, Tenant } from "./config/config.ts";
import { databaseAt } from "./explain.ts";

const namesShownMax = 5;

export function banner({ instance, tenants, warnings }: Config, role: Role, port: number): string {
  const all = [...tenants.values()];
  const shown = role === "worker" ? [] : all;
  const demo = all.filter((tenant) => tenant.model.demo);
  const vouching = shown.filter(({ identity }) => identity.mode === "required");
  const lines = [
    `cip ${pkg.version} listens on http://${hostOf(instance.host)}:${port}`,
    ...(instance.publicUrl ? [`  public    ${instance.publicUrl}`] : []),
    ...(role === "worker" ? ["  role      worker: runs the turns that wait, serves no visitors"] : []),
    `  database  ${instance.databaseUrl === undefined ? `embedded, in ${instance.dataDir}` : databaseOf(instance.databaseUrl.reveal())}`,
    `  model     ${modelsOf(all)}`,
    `  sites     ${sitesOf(all)}`,
    ...(vouching.length > 0 ? [`  identity  required by ${sitesOf(vouching)}`] : []),
  ];
  const notes = warnings.map((warning) => `Warning: ${warning}`);
  const open = shown.filter(({ allowedOrigins }) => allowedOrigins.includes("*"));
  if (open.length > 0)
    notes.push(`Warning: ALLOWED_ORIGINS=* lets any site on the web embed and call ${sitesOf(open)}`);
  if (demo.length > 0)
    notes.push(
      "Next: put LLM_API_KEY=… (DeepSeek), or LLM_BASE_URL and LLM_MODEL of any OpenAI-compatible server, into .env",
    );
  const closed = shown.filter(({ allowedOrigins }) => allowedOrigins.length === 0);
  if (closed.length > 0)
    notes.push(
      `Next: set ALLOWED_ORIGINS to the sites that may embed the chat; without it, this server only: ${sitesOf(closed)}`,
    );
  const unbounded = shown.filter(({ model, limits }) => !model.demo && limits.dailyTokensMax === undefined);
  if (unbounded.length > 0)
    notes.push(
      `Next: set DAILY_TOKENS_MAX; without it nothing bounds the tokens that visitors use: ${sitesOf(unbounded)}`,
    );
  if (notes.length > 0) lines.push("", ...notes);
  return `${lines.join("\n")}\n`;
}

function hostOf(address: string): string {
  if (address === "0.0.0.0" || address === "::") return "localhost";
  return address.includes(":") ? `[${address}]` : address;
}

function databaseOf(url: string): string {
  const { name, host } = databaseAt(url);
  return `PostgreSQL, ${name} at ${host}`;
}

function modelsOf(tenants: Tenant[]): string {
  const names = new Set(
    tenants.map(({ model }) =>
      model.demo ? "the built-in demo model: no AI is connected" : `${model.name} at ${model.baseUrl}`,
    ),
  );
  return listed([...names]);
}

function sitesOf(tenants: Tenant[]): string {
  return listed(tenants.map((tenant) => tenant.id));
}

function listed(names: string[]): string {
  const more = names.length - namesShownMax;
  return names.slice(0, namesShownMax).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
