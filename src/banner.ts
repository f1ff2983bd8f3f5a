// The few lines that the person who starts cip reads: where it is, what it runs on, what to set next.
import pkg from "../package.json" with { type: "json" };
import type { Config, Role, Tenant } from "./config.ts";
import { databaseAt } from "./explain.ts";

const namesShownMax = 5;

export function banner({ instance, tenants }: Config, role: Role, port: number): string {
  const all = [...tenants.values()];
  const demo = all.filter((tenant) => tenant.model.demo);
  const lines = [
    `cip ${pkg.version} listens on http://${hostOf(instance.host)}:${port}`,
    ...(role === "worker" ? ["  role      worker: runs the turns that wait, serves no visitors"] : []),
    `  database  ${instance.databaseUrl === undefined ? `embedded, in ${instance.dataDir}` : databaseOf(instance.databaseUrl)}`,
    `  model     ${modelsOf(all)}`,
    `  sites     ${sitesOf(all)}`,
  ];
  const next: string[] = [];
  if (demo.length > 0)
    next.push(
      "put LLM_API_KEY=… (DeepSeek), or LLM_BASE_URL and LLM_MODEL of any OpenAI-compatible server, into .env",
    );
  if (role !== "worker" && all.some((tenant) => tenant.allowedOrigins.length === 0))
    next.push("set ALLOWED_ORIGINS to the sites that may embed the chat; until then only this server may.");
  if (next.length > 0) lines.push("", ...next.map((step) => `Next: ${step}`));
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
