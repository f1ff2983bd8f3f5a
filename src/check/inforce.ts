// What is in force and who said so, as tables for a person: each value as it was written, and no secret.
import type { Config, Tenant } from "../config/config.ts";
import { type Name, type Setting, settings } from "../config/settings.ts";
import type { Given, Layers } from "../config/sources.ts";

const valueWidth = 36;
/** With more sites than this, one line each. */
const tablesMax = 20;

/** In JSON (LLM_EXTRA_BODY), what by its name is a secret. */
const telling = /("[^"]*(?:key|token|secret|password|auth)[^"]*"\s*:\s*)"(?:[^"\\]|\\.)*"/gi;

type Row = { name: string; value: string; from: string };

/** Everything of the tenant that is named; else the instance, and of each tenant what is not the default. */
export function inForce({ tenants }: Config, named: Tenant | undefined): string {
  if (named) return site(tenants.layers(named.id), named, true);
  const all = [...tenants.values()];
  const instance = tables(rowsOf("instance", tenants.ground.sources, () => true));
  const sites =
    all.length > tablesMax
      ? all.map(summary).join("\n")
      : all.map((one) => site(tenants.layers(one.id), one, false)).join("\n\n");
  return `${instance}\n\n${sites}`;
}

function site(layers: Layers | undefined, tenant: Tenant, whole: boolean): string {
  if (!layers) return "";
  const { own, base, giver } = layers;
  const rows = rowsOf("tenant", [own, ...base.sources], (name) => whole || giver(name) !== undefined);
  for (const list of rows.values())
    for (const row of list)
      if (withheld(row.name, layers, tenant)) row.value = "not sent: it is for another server";
  const title = `Site ${tenant.id}${own.file === "" ? " (there is no site's file)" : ""}`;
  return `${title}\n\n${rows.size > 0 ? tables(rows).replace(/^(?=.)/gm, "  ") : "  all as by default"}`;
}

/** The instance's key goes to the instance's server only. */
function withheld(name: string, { values }: Layers, { model }: Tenant): boolean {
  if (name === "LLM_API_KEY") return values.LLM_API_KEY !== undefined && model.apiKey === undefined;
  if (name !== "LLM_FALLBACK_API_KEY" || !model.fallback) return false;
  return values.LLM_FALLBACK_API_KEY !== undefined && model.fallback.apiKey === undefined;
}

function summary({ id, model, allowedOrigins, identity }: Tenant): string {
  const asks = model.demo ? "the demo model" : `${model.name} at ${model.baseUrl}`;
  const origins = allowedOrigins.length === 1 ? allowedOrigins[0] : `${allowedOrigins.length} origins`;
  return clipped(
    `Site ${id}: ${asks}; ${origins}${identity.mode === "off" ? "" : `; identity ${identity.mode}`}`,
    100,
  );
}

type Sources = readonly { file: string; given: ReadonlyMap<Name, Given> }[];

function rowsOf(
  scope: Setting["scope"],
  sources: Sources,
  isShown: (name: Name) => boolean,
): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const [name, setting] of Object.entries<Setting>(settings)) {
    if (setting.scope !== scope || !isShown(name as Name)) continue;
    const rows = groups.getOrInsertComputed(setting.group, () => []);
    rows.push({ name, ...saidOf(setting, name as Name, sources) });
  }
  return groups;
}

function saidOf(setting: Setting, name: Name, sources: Sources): Omit<Row, "name"> {
  for (const { file, given } of sources) {
    const { text, secretFile } = given.get(name) ?? {};
    if (text !== undefined)
      return {
        value: text.replace(telling, '$1"***"'),
        from: secretFile ? `${secretFile}, by ${file}` : file,
      };
  }
  const [, instead] = /unset: (.*)$/.exec(setting.help) ?? [];
  return { value: setting.default ?? (instead ? `unset: ${instead}` : "unset"), from: "default" };
}

function tables(groups: Map<string, Row[]>): string {
  const width = Math.max(...[...groups.values()].flat().map(({ name }) => name.length));
  const tables = [...groups].map(([group, rows]) =>
    [
      group,
      ...rows.map(
        ({ name, value, from }) =>
          `  ${name.padEnd(width)}  ${clipped(value, valueWidth).padEnd(valueWidth)}  ${from}`,
      ),
    ].join("\n"),
  );
  return tables.join("\n\n");
}

/** On one line, and no longer than there is room. What a terminal would take for a command is not shown. */
function clipped(text: string, charsMax: number): string {
  const line = text.replace(/[\p{Cc}\s]+/gu, " ");
  return line.length > charsMax ? `${line.slice(0, charsMax - 1)}…` : line;
}
