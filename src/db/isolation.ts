// Proof, at the start, that no tenant sees another's rows: asked of the catalog as the role that requests work as, and
// tried. What is found is told with the SQL that mends it.
import type { Database, TenantTx } from "./db.ts";

/** One way around row-level security; `mend` are the statements that close it. */
type Gap = { what: string; mend: string[] };

/** Tenants' rows are not apart. The message is for the person who starts cip. */
export class IsolationError extends Error {
  override readonly name = "IsolationError";

  constructor(gaps: Gap[]) {
    const mend = [...new Set(gaps.flatMap((gap) => gap.mend))];
    super(
      [
        "Tenants could see each other's rows, so cip does not start:",
        ...gaps.map(({ what }) => `  ${what}`),
        ...(mend.length > 0
          ? ["As a superuser, run in the database:", ...mend.map((sql) => `  ${sql}`)]
          : []),
      ].join("\n"),
    );
  }
}

// No tenants' ids, for these have no spaces.
const planter = "planter of a row";
const stranger = "stranger to it";

/** Throws IsolationError where a request could reach the rows of a tenant that it is not for. */
export async function verifyIsolation(db: Database): Promise<void> {
  const catalog = await db.tenant(stranger, read);
  const gaps = [...roleGaps(catalog), ...ownerGaps(catalog), ...policyGaps(catalog)];
  if (gaps.length === 0) gaps.push(...(await probe(db, catalog)));
  if (gaps.length > 0) throw new IsolationError(gaps);
}

type Policy = { name: string; whole: boolean; using: string | null; check: string | null };
type Table = { name: string; owned: boolean; on: boolean; policies: Policy[] };
/** All names are quoted where SQL wants them so. */
type Catalog = {
  role: string;
  rolsuper: boolean;
  rolbypassrls: boolean;
  session: string;
  /** Roles that no policy binds, and by which role this one reaches them. */
  unbound: { member: string; role: string }[];
  /** Those of any table that are the tenants' and in reach of this role. */
  tables: Table[];
};

/**
 * In one flight, for every start waits for it, on a connection that has none of the catalog in its caches. As one
 * statement it takes longer to plan: 60 ms in place of 45 on the embedded database (PGlite 0.5.16, cold).
 */
async function read(tx: TenantTx): Promise<Catalog> {
  const [rows, [own, ...reached]] = await Promise.all([readTables(tx), readRoles(tx)]);
  if (!own) throw new Error("the role of requests is missing");
  const tables = new Map<string, Table>();
  for (const { name, owner, on, policy, whole, using, check } of rows) {
    const table = tables.get(name) ?? { name, owned: owner === own.oid, on, policies: [] };
    tables.set(name, table);
    if (policy !== null) table.policies.push({ name: policy, whole, using, check });
  }
  const owners = new Set(rows.map(({ owner }) => owner));
  const unbound = reached.filter(
    ({ oid, rolsuper, rolbypassrls }) => rolsuper || rolbypassrls || owners.has(oid),
  );
  return { ...own, unbound, tables: [...tables.values()] };
}

/** One of a tenant table's policies that hold for the role; `policy` is null in the one row of a table without any. */
type TableRow = { name: string; owner: number; on: boolean; policy: string | null } & Omit<Policy, "name">;

/** `current_setting` by its full name: one of somebody else's, before it in the search path, is what the probe looks for. */
function readTables(tx: TenantTx) {
  return tx<TableRow[]>`
    select c.oid::regclass::text as name, relowner as owner, relrowsecurity as on, quote_ident(polname) as policy,
      polcmd = '*' as whole, pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check
    from pg_class c
      left join pg_policy on polrelid = c.oid and polpermissive and exists (
        select from unnest(polroles) r
        where r in (0, to_regrole(quote_ident(current_user)))
          or pg_catalog.current_setting('is_superuser') = 'off' and pg_has_role(r, 'usage'))
    where relkind in ('r', 'p')
      and relnamespace = (select relnamespace from pg_class where oid = 'conversations'::regclass)
      and has_any_column_privilege(c.oid, 'select, insert, update')
      and exists (select from pg_attribute where attrelid = c.oid and attname = 'tenant_id' and not attisdropped)
    order by name, polname`;
}

type RoleRow = { member: string; oid: number } & Omit<Catalog, "unbound" | "tables">;

/** This role, and then all that it may act as, each with the one of its own, `member`, that leads there. */
function readRoles(tx: TenantTx) {
  return tx<RoleRow[]>`
    with recursive reached as (
      select null::oid as first, to_regrole(quote_ident(current_user))::oid as roleid
      union select coalesce(r.first, m.roleid), m.roleid from reached r join pg_auth_members m on m.member = r.roleid
    )
    select quote_ident(pg_get_userbyid(first)) as member, quote_ident(rolname) as role, oid, rolsuper, rolbypassrls,
      quote_ident(session_user) as session
    from reached join pg_roles on oid = roleid
    order by member nulls first, role`;
}

/** The role itself stands above row-level security, or may become one that does. */
function roleGaps({ role, rolsuper, rolbypassrls, unbound }: Catalog): Gap[] {
  const gaps: Gap[] = [];
  if (rolsuper) gaps.push({ what: `${role} is a superuser`, mend: [`alter role ${role} nosuperuser;`] });
  if (rolbypassrls) gaps.push({ what: `${role} has bypassrls`, mend: [`alter role ${role} nobypassrls;`] });
  // A superuser is a member of every role; by the catalog, this one shall be of none that matters.
  for (const other of unbound)
    gaps.push({
      what: `${role} can act as ${other.role}, which no policy binds`,
      mend: [`revoke ${other.member} from ${role};`],
    });
  return gaps;
}

/** The role owns a tenant table: policies do not bind a table's owner. */
function ownerGaps({ role, session, tables }: Catalog): Gap[] {
  return tables
    .filter(({ owned }) => owned)
    .map(({ name }) => ({
      what: `${role} owns the table ${name}`,
      // What it may do as the owner goes to the new one; what requests need has to be given anew.
      mend: [
        `alter table ${name} owner to ${session};`,
        `grant select, insert, update, delete on ${name} to ${role};`,
      ],
    }));
}

const condition = "(tenant_id = current_setting('app.tenant_id'::text))";

/** Row-level security is off, lacks the one policy, or has another that shows more. */
function policyGaps({ role, tables }: Catalog): Gap[] {
  return tables.flatMap(({ name, on, policies }) => {
    const gaps: Gap[] = [];
    if (!on)
      gaps.push({
        what: `row-level security of the table ${name} is off`,
        mend: [`alter table ${name} enable row level security;`],
      });
    const foreign = policies.filter(({ using, check }) =>
      [using, check].some((expression) => expression !== null && expression !== condition),
    );
    for (const policy of foreign)
      gaps.push({
        what: `the policy ${policy.name} of the table ${name} is not of cip's making`,
        mend: [`drop policy ${policy.name} on ${name};`],
      });
    if (!policies.some((policy) => policy.whole && policy.using === condition && !foreign.includes(policy)))
      gaps.push({
        what: `the table ${name} has no policy that keeps tenants apart`,
        mend: [`create policy tenant on ${name} to ${role} using ${condition} with check ${condition};`],
      });
    return gaps;
  });
}

/** What the catalog promises, tried: a row of one tenant is looked for and written as another. It leaves nothing. */
async function probe(db: Database, { tables }: Catalog): Promise<Gap[]> {
  const gaps: Gap[] = [];
  const undo = new Error("undo");
  await db
    .tenant(planter, async (tx) => {
      const id = Bun.randomUUIDv7();
      // In one flight, as far as the driver can; what fails first is what is thrown.
      const [, , changed, ...seen] = await Promise.all([
        tx`insert into conversations (tenant_id, id, user_id, title) values (${planter}, ${id}, '', '')`,
        tx`set local app.tenant_id to ${tx(stranger)}`.simple(), // the function would not reach Citus' workers
        tx`update conversations set title = '' where id = ${id} returning id`,
        ...tables.map(({ name }) => tx`select from ${tx.unsafe(name)} limit 1`),
      ]);
      for (const [i, { name }] of tables.entries())
        if (seen[i]?.length)
          gaps.push({ what: `rows of the table ${name} are shown to a stranger`, mend: [] });
      if (changed.length > 0) gaps.push({ what: "a stranger can change a conversation", mend: [] });
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  return gaps;
}
