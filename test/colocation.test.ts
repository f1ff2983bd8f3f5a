// On Citus a tenant's rows of all tables are on one worker, so whatever a tenant's transaction does must name its tenant for
// each table. Proven for every statement that the program makes: by its plan, and by the values it was made with.
import { beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { type Database, openDatabase, type SystemTx, type TenantTx } from "../src/db/db.ts";
import { verifyIsolation } from "../src/db/isolation.ts";
import { migrate } from "../src/db/migrate.ts";
import * as budgets from "../src/rows/budgets.ts";
import * as claims from "../src/rows/claims.ts";
import * as limits from "../src/rows/limits.ts";
import { as, attemptsOn, lease, modules, plant, user } from "./attempts.ts";
import { keys, opened, opening } from "./openings.ts";
import { type Plan, scopesIn } from "./plans.ts";
import { postgresCluster } from "./postgres.ts";
import { type Statement, type Transaction, tapped } from "./statements.ts";
import { atTheEnd, repository } from "./support.ts";

const script = readFileSync(join(repository, "deploy/citus.sql"), "utf8");
const batches = readFileSync(join(repository, "sql/0006_batches.sql"), "utf8");
const kept = /^-- on the coordinator: (.*)$/m.exec(script)?.[1]?.split(", ") ?? [];

/** What crosses tenants, and why Citus can do it: a worker needs nothing that another one has. */
const acrossTenants: [start: string, why: string][] = [
  [
    "update turns t set parts = case when c.count is null then coalesce(c.parts, t.parts)",
    "each shard is joined with the same list of claims",
  ],
  ["select t.id, t.stop_requested from turns t join jsonb_to_recordset", "the same, to be read"],
  ["update turns set status = case when", "each shard by itself: the sweep of dead turns"],
  ["select w.tenant_id from (select tenant_id, min(created_at)", "grouped and correlated by the tenant"],
  [
    "select count(*)::integer as count, extract(epoch from clock_timestamp()",
    "a count and a minimum of all shards",
  ],
  [
    "select b.tenant_id, b.tokens from jsonb_array_elements_text",
    "each shard is joined with the same list of tenants",
  ],
  ["delete from budgets where day <", "each shard by itself"],
  ["with old as materialized ( select tenant_id, name from buckets", "the coordinator's own table"],
];

let databaseUrl: string;
let sql: postgres.Sql;
let tables: string[];
let transactions: Transaction[];
beforeAll(async () => {
  databaseUrl = await (await postgresCluster()).createDatabase();
  const line = await tapped(databaseUrl);
  const db = openDatabase({ url: line.url, poolSize: 2 });
  sql = postgres(databaseUrl, { max: 1, onnotice: () => {} });
  atTheEnd(() => Promise.all([db.close(), sql.end()]));
  await migrate(db);
  tables = (
    await sql<{ name: string }[]>`
      select relname as name from pg_class c join pg_attribute a on attrelid = c.oid and attname = 'tenant_id'
      where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace order by 1`
  ).map(({ name }) => name);
  await exercise(db);
  transactions = line.transactions;
});

/** Makes every statement there is. What a tenant's functions do is found where isolation.test.ts finds it. */
async function exercise(db: ReturnType<typeof openDatabase>): Promise<void> {
  await verifyIsolation(db);
  for (const functions of Object.values(attemptsOn(modules)))
    for (const attempt of Object.values(functions)) {
      if (!attempt) continue;
      const prey = await plant(db);
      await db.tenant("globex", (tx) => attempt(tx, prey)).catch(() => {});
    }
  const { claim } = await plant(db);
  const lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
  await db.system((tx) => claims.checkpoint(tx, [{ ...claim, parts: [] }], lease));
  await db.system((tx) => claims.look(tx, [claim]));
  await db.system(claims.tenantsWaiting);
  await db.system(claims.countWaiting);
  for (const dead of ["expired", { instanceId: claim.turnId }, "all"] as const)
    await db.system((tx) => claims.sweep(tx, dead));
  await db.system((tx) => budgets.usedToday(tx, ["globex"]));
  await db.system(budgets.sweep);
  await db.system(limits.sweep);
}

test("the script names every table of the tenants once, after those it refers to, and no other", async () => {
  const distributed = [...script.matchAll(/create_distributed_table\('(\w+)', 'tenant_id', (.*)\)/g)];
  const names = distributed.map(([, name = ""]) => name);
  expect([...names, ...kept].sort()).toEqual(tables);
  const [first, ...rest] = distributed.map(([, , how]) => how);
  expect(first).toBe("colocate_with => 'none'");
  for (const how of rest) expect(how).toBe(`colocate_with => '${names[0]}'`);
  const references = await sql<{ from: string; to: string }[]>`
    select conrelid::regclass::text as from, confrelid::regclass::text as to from pg_constraint where contype = 'f'`;
  expect(references.length).toBeGreaterThan(0);
  for (const { from, to } of references) expect(names.indexOf(to)).toBeLessThan(names.indexOf(from));
});

test("every key holds the tenant, and every foreign key ties it to the same tenant", async () => {
  const keys = await sql<{ name: string; own: string[]; other: string[] | null }[]>`
    with named as (
      select i.indexrelid::regclass::text as name, i.indrelid as own_id, i.indkey::int2[] as own, null::oid as other_id,
        null::int2[] as other
      from pg_index i where i.indisunique or i.indisexclusion
      union all
      select conname, conrelid, conkey, confrelid, confkey from pg_constraint where contype = 'f'
    )
    select name,
      array(select attname from unnest(own) with ordinality k (n, i) join pg_attribute on attrelid = own_id and attnum = n
            order by i)::text[] as own,
      array(select attname from unnest(other) with ordinality k (n, i)
            join pg_attribute on attrelid = other_id and attnum = n order by i)::text[] as other
    from named where own_id::regclass::text in ${sql(tables)}`;
  expect(keys.length).toBeGreaterThan(tables.length);
  for (const { name, own, other } of keys) {
    expect(own, name).toContain("tenant_id");
    if (other?.length) expect(other.indexOf("tenant_id"), name).toBe(own.indexOf("tenant_id"));
  }
});

test("every statement of the sources was made here", () => {
  const seen = transactions.flat().map((statement) => flat(statement.sql));
  const written = sources().flatMap((text) => [
    ...text.matchAll(
      /\btx(?:<[^`]*?>)?`(\s*(?:select|insert|update|delete|with)\b(?:[^`$]|\$\{[^{}`]*\})*)/g,
    ),
  ]);
  const ofTables = written.map(([, text = ""]) => text).filter((text) => namesOf(text).length > 0);
  expect(ofTables.length).toBeGreaterThan(30);
  for (const text of ofTables) {
    const pieces = text.trim().split(/\$\{[^{}`]*\}/);
    const like = new RegExp(
      `^${pieces.map((piece) => flat(piece, false).replace(/[^\w\s]/g, "\\$&")).join("[^]*?")}`,
    );
    expect(
      seen.some((one) => like.test(one)),
      `nobody made: ${flat(text)}`,
    ).toBe(true);
  }
});

test("a tenant's transaction names its tenant for every table, in every statement", async () => {
  let proven = 0;
  for (const [statement, tenantId] of transactions.flatMap(ofTenant)) {
    if (namesOf(statement.sql).length === 0) continue;
    const scopes = scopesIn(await planOf(statement), tables);
    expect(scopes.length, statement.sql).toBeGreaterThan(0);
    for (const { table, tenant } of scopes) {
      expect(tenant, `${table} without a tenant in: ${flat(statement.sql)}`).toBeDefined();
      const value = tenant?.startsWith("$") ? statement.values[Number(tenant.slice(1)) - 1] : tenant;
      expect(value, flat(statement.sql)).toBe(tenantId);
    }
    proven++;
  }
  expect(proven).toBeGreaterThan(100);
});

test("so does every function of the database, in every statement that it has", async () => {
  const explained = await explainedWithin(async (tenant) => {
    for (const functions of Object.values(attemptsOn(modules)))
      for (const attempt of Object.values(functions)) {
        const prey = attempt && (await plant({ tenant } as Database));
        if (prey) await tenant("globex", (tx) => attempt(tx, prey)).catch(() => {});
      }
    // What no attempt on another tenant's rows comes to: a turn replaced, one that waits, a bucket that refuses.
    const { restingId, restingTurnId } = await plant({ tenant } as Database);
    const budgets = [{ holder: user, tokens_max: 1_000_000 }];
    const waits = { conversationId: restingId, replaces: restingTurnId, detached: true, budgets };
    const once = { policy: "once", rate: { count: 1, periodMs: 60_000 }, whose: undefined };
    await tenant("globex", async (tx) => {
      await opened(tx, opening({ userId: user, ...waits }), lease);
      for (let i = 0; i < 2; i++) await limits.take(tx, keys, [once]);
    });
  });
  for (const { text, values, plan } of explained)
    for (const { table, tenant } of scopesIn(plan, tables)) {
      // The first parameter of each function is the tenant, and of its statements so too.
      const value = tenant === "$1" && !values ? "globex" : (values?.get(tenant ?? "") ?? tenant);
      expect(value, `${table} in: ${text}`).toBe("globex");
    }
  const seen = [...new Set(explained.map(({ text }) => text))].join("\n");
  const functions = batches.split("create function ");
  const first = functions.slice(1).filter((text) => !text.startsWith("history(")); // which is part of who calls it
  for (const text of first) expect(text).toMatch(/^\w+\(tenant text/);
  const conditions = (text: string) => text.match(/\btenant_id = tenant\b/g)?.length ?? 0;
  expect(conditions(seen)).toBe(conditions(first.join("")));
});

test("what crosses tenants is known, and is nothing that a worker would need another one for", async () => {
  const made = transactions
    .filter((transaction) => scopeOf(transaction) === undefined)
    .flat()
    .filter(({ sql }) => /^\s*(select|insert|update|delete|with)\b/.test(sql) && namesOf(sql).length > 0);
  const known = new Set<string>();
  for (const statement of made) {
    const [start] = acrossTenants.find(([start]) => flat(statement.sql).startsWith(start)) ?? [];
    expect(start, `unknown across tenants: ${flat(statement.sql)}`).toBeDefined();
    known.add(start as string);
    const joined = scopesIn(await planOf(statement), tables);
    if (joined.length > 1) expect(flat(statement.sql)).toMatch(/\w\.tenant_id = \w+\.tenant_id/);
  }
  expect([...known].sort()).toEqual(acrossTenants.map(([start]) => start).sort());
});

test("a Citus coordinator is told the tenant in the words that it tells its workers, and nobody else is", async () => {
  const cluster = await postgresCluster();
  const databaseUrl = await cluster.createDatabase();
  const firstOf = async () => {
    const line = await tapped(databaseUrl);
    const db = openDatabase({ url: line.url, poolSize: 1 });
    await migrate(db);
    const [row] = await db.tenant("acme-2", (tx) => tx`select current_setting('app.tenant_id') as tenant`);
    await db.close();
    expect(row).toEqual({ tenant: "acme-2" });
    return (
      line.transactions.find((transaction) => scopeOf(transaction))?.map((statement) => statement.sql) ?? []
    );
  };
  const plain = await firstOf();
  expect(plain.join()).not.toContain("citus");
  expect(plain).toHaveLength(2);
  // This setting is all that tells a coordinator from the outside, and a name with a dot may be set anywhere.
  const superuser = postgres(cluster.superuserUrl, { max: 1 });
  const database = superuser(new URL(databaseUrl).pathname.slice(1));
  await superuser`alter database ${database} set citus.propagate_set_commands = none`;
  await superuser.end();
  const [first, second] = await firstOf();
  expect(first).toContain("set_config('citus.propagate_set_commands', 'local', true)");
  expect(second).toBe('set local app.tenant_id to "acme-2"');
});

/** What Citus refuses on distributed tables, by part of a statement: what a worker would have to work out anew. */
const refused: [part: RegExp, what: RegExp][] = [
  [/\bdo update set\b.*?(?=\breturning\b|$)/g, /\b(now|clock_timestamp|current_setting)\(/],
  [/\breturning\b[^)]*/g, /::|\b(now|clock_timestamp|extract)\(/],
  [/(?<=^update.*)(\bcase\b((?!\bend\b).)*|\bcoalesce\([^)]*)/g, /\b(now|clock_timestamp)\(/],
  [/\(select jsonb_array_elements_text\([^)]*\)::/g, /./],
];

test("no statement on a table of the workers asks for what Citus refuses there", () => {
  const made = transactions.flat().filter(({ sql }) => !sql.includes("create function"));
  const inFunctions = batches.split(/;\n|\bbegin\n|\bthen\n|\bloop\n/);
  expect(inFunctions.filter((text) => namesOf(text).length > 0).length).toBeGreaterThan(12);
  for (const text of new Set([...made.map(({ sql }) => sql), ...inFunctions].map((text) => flat(text)))) {
    if (namesOf(text).every((name) => kept.includes(name))) continue;
    for (const [part, what] of refused)
      for (const [found] of text.matchAll(part)) expect(found, text).not.toMatch(what);
  }
});

type Explained = { text: string; values: Map<string, string> | undefined; plan: Plan };

/** What PostgreSQL explains of all that it does while `work` makes transactions, statements of functions included. */
async function explainedWithin(work: (tenant: Database["tenant"]) => Promise<void>): Promise<Explained[]> {
  const url = new URL((await postgresCluster()).superuserUrl);
  url.pathname = new URL(databaseUrl).pathname;
  const explained: Explained[] = [];
  const onnotice = ({ message = "" }) => {
    if (!message.startsWith("duration:")) return;
    const told = JSON.parse(message.slice(message.indexOf("{")));
    const values = told["Query Parameters"]?.matchAll(/(\$\d+) = '([^']*)'/g);
    explained.push({
      text: flat(told["Query Text"]),
      values: values && new Map([...values].map(([, name, value]) => [name, value])),
      plan: told.Plan,
    });
  };
  const superuser = postgres(url.href, { max: 1, onnotice });
  await superuser`load 'auto_explain'`.simple();
  await superuser`
    set auto_explain.log_nested_statements = on; set auto_explain.log_format = json; set auto_explain.log_verbose = on;
    set auto_explain.log_level = notice; set auto_explain.log_min_duration = 0`.simple();
  // Without the role, whom a policy would bind as well: what restricts the plan is in the statement.
  const tenant = (tenantId: string, own: (tx: TenantTx) => Promise<unknown>) =>
    superuser.begin((tx) => own(as(tx as unknown as SystemTx, tenantId)));
  await work(tenant as Database["tenant"]);
  await superuser.end();
  return explained;
}

function sources(): string[] {
  const folder = join(repository, "src");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    file.endsWith(".ts"),
  );
  return files.map((file) => readFileSync(join(folder, file), "utf8"));
}

const flat = (text: string, trimmed = true) => {
  const spaced = text.replace(/\s+/g, " ");
  return trimmed ? spaced.trim() : spaced;
};
const namesOf = (text: string) =>
  tables.filter((table) => new RegExp(`\\b(from|join|into|update|using) ${table}\\b`).test(text));

/** The tenant that the transaction is for; undefined where it is the system's. */
function scopeOf([first]: Transaction): string | undefined {
  return first?.sql.includes("set_config('app.tenant_id'") ? (first.values[0] ?? undefined) : undefined;
}
/** isolation.ts asks without naming a tenant: it tries whether row-level security alone holds. */
const trials = ["planter of a row", "stranger to it"];

function ofTenant(transaction: Transaction): [Statement, string][] {
  const tenantId = scopeOf(transaction);
  if (tenantId === undefined || trials.includes(tenantId)) return [];
  return transaction.map((statement) => [statement, tenantId]);
}

const plans = new Map<string, Plan>();

/** As the owner, whom no policy binds: what restricts the plan is in the statement. */
async function planOf({ sql: text }: Statement): Promise<Plan> {
  let plan = plans.get(text);
  if (!plan) {
    const rows = await sql.unsafe(`explain (generic_plan, verbose, format json) ${text}`).simple();
    [{ Plan: plan }] = (rows as unknown as [Record<string, [{ Plan: Plan }]>])[0]["QUERY PLAN"] ?? [
      { Plan: {} },
    ];
    plans.set(text, plan);
  }
  return plan;
}
