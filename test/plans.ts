// Which rows of the tenants' tables a plan touches, as PostgreSQL explains it: of which tenant.

export type Plan = { Plans?: Plan[]; Output?: string[]; [field: string]: unknown };
type Scope = { table: string; alias: unknown; tenant: string | undefined };

/** Each place where the plan touches a table of the tenants, and what its tenant_id must be there: a parameter, a value. */
export function scopesIn(plan: Plan, tables: readonly string[]): Scope[] {
  const found = rawScopesIn(plan, tables);
  // One that is tied to another place is as restricted as that one.
  const resolved = ({ tenant, ...scope }: Scope, seen: unknown[] = []): Scope => {
    const other = found.find(({ alias }) => alias !== undefined && alias === tenant && !seen.includes(alias));
    return { ...scope, tenant: other ? resolved(other, [...seen, other.alias]).tenant : tenant };
  };
  return found.map((scope) => resolved(scope));
}

/** `tie`: what a subplan's rows are compared with where it is hashed, and so asks for no tenant by itself. */
function rawScopesIn(plan: Plan, tables: readonly string[], tie?: string): Scope[] {
  const conditions = ["Index Cond", "Recheck Cond", "Filter"].map((name) => plan[name] ?? "").join();
  const below = (plan.Plans ?? []).flatMap((part) => {
    const name = `hashed ${part["Subplan Name"]}`;
    const [, tied] = new RegExp(`(\\w+)\\.tenant_id = \\(${name}\\)\\.col`).exec(conditions) ?? [];
    return rawScopesIn(part, tables, tied ?? tie);
  });
  const table = plan["Relation Name"] as string | undefined;
  const alias = plan.Alias;
  if (!table || !tables.includes(table)) return below;
  if (plan.Operation === "Insert")
    return [{ table, alias: undefined, tenant: inserted(plan.Plans?.[0]) }, ...below];
  if (plan["Node Type"] === "ModifyTable") return below; // what it changes, a scan below it has found
  const [, ...which] = /\btenant_id = (?:(\$\d+)|'([^']*)'::text|(\w+)\.tenant_id)/.exec(conditions) ?? [];
  return [{ table, alias, tenant: which.find((one) => one !== undefined) ?? tie }, ...below];
}

/** tenant_id is the first column of every table; the rows may come from a query in between. */
function inserted(rows: Plan | undefined): string | undefined {
  const [column = ""] = rows?.Output ?? [];
  const [, parameter, value] = /^(?:(\$\d+)|'([^']*)'::text)/.exec(column) ?? [];
  return parameter ?? value ?? (rows?.Plans ? inserted(rows.Plans[0]) : undefined);
}
