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
  const gaps = await db.tenant(stranger, async (tx) => [
    ...(await roleGaps(tx)),
    ...(await ownerGaps(tx)),
    ...(await policyGaps(tx)),
  ]);
  if (gaps.length === 0) gaps.push(...(await probe(db)));
  if (gaps.length > 0) throw new IsolationError(gaps);
}

/** The role itself stands above row-level security, or may become one that does. */
async function roleGaps(tx: TenantTx): Promise<Gap[]> {
  const [own] = await tx<{ role: string; rolsuper: boolean; rolbypassrls: boolean }[]>`
    select quote_ident(rolname) as role, rolsuper, rolbypassrls from pg_roles where rolname = current_user`;
  if (!own) throw new Error("the role of requests is missing");
  const gaps: Gap[] = [];
  if (own.rolsuper)
    gaps.push({ what: `${own.role} is a superuser`, mend: [`alter role ${own.role} nosuperuser;`] });
  if (own.rolbypassrls)
    gaps.push({ what: `${own.role} has bypassrls`, mend: [`alter role ${own.role} nobypassrls;`] });
  // A superuser is a member of every role; by the catalog, this one shall be of none that matters.
  const memberships = await tx<{ member: string; role: string }[]>`
    with recursive reached as (
      select roleid as first, roleid from pg_auth_members where member = to_regrole(quote_ident(current_user))
      union select r.first, m.roleid from reached r join pg_auth_members m on m.member = r.roleid
    )
    select distinct quote_ident(pg_get_userbyid(first)) as member, quote_ident(rolname) as role
    from reached join pg_roles on oid = roleid
    where rolsuper or rolbypassrls or exists (select from pg_class where relowner = roleid and ${isTenantTable(tx)})
    order by 1, 2`;
  for (const { member, role } of memberships)
    gaps.push({
      what: `${own.role} can act as ${role}, which no policy binds`,
      mend: [`revoke ${member} from ${own.role};`],
    });
  return gaps;
}

/** The role owns a tenant table: policies do not bind a table's owner. */
async function ownerGaps(tx: TenantTx): Promise<Gap[]> {
  const rows = await tx<{ name: string; role: string; to: string }[]>`
    select pg_class.oid::regclass::text as name, quote_ident(current_user) as role, quote_ident(session_user) as to
    from pg_class where ${isTenantTable(tx)} and pg_get_userbyid(relowner) = current_user order by 1`;
  return rows.map(({ name, role, to }) => ({
    what: `${role} owns the table ${name}`,
    // What it may do as the owner goes to the new one; what requests need has to be given anew.
    mend: [
      `alter table ${name} owner to ${to};`,
      `grant select, insert, update, delete on ${name} to ${role};`,
    ],
  }));
}

const condition = "(tenant_id = current_setting('app.tenant_id'::text))";

type Policy = { name: string; whole: boolean; using: string | null; check: string | null };

/** Row-level security is off, lacks the one policy, or has another that shows more. */
async function policyGaps(tx: TenantTx): Promise<Gap[]> {
  const tables = await tx<{ name: string; on: boolean; role: string; policies: Policy[] }[]>`
    select pg_class.oid::regclass::text as name, relrowsecurity as on, quote_ident(current_user) as role,
      coalesce((
        select jsonb_agg(jsonb_build_object('name', quote_ident(polname), 'whole', polcmd = '*',
          'using', pg_get_expr(polqual, polrelid), 'check', pg_get_expr(polwithcheck, polrelid)) order by polname)
        from pg_policy
        where polrelid = pg_class.oid and polpermissive
          and (0 = any (polroles) or exists (
            select from unnest(polroles) r join pg_roles own on rolname = current_user
            where r = own.oid or not rolsuper and pg_has_role(own.oid, r, 'usage')))
      ), '[]') as policies
    from pg_class where ${isTenantTable(tx)} order by 1`;
  return tables.flatMap(({ name, on, role, policies }) => {
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

/** Those of any table that are the tenants' and in reach of this role. */
function isTenantTable(tx: TenantTx) {
  return tx`(
    relkind in ('r', 'p') and relnamespace = (select relnamespace from pg_class where oid = 'conversations'::regclass)
    and has_any_column_privilege(pg_class.oid, 'select, insert, update')
    and exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'tenant_id' and not attisdropped))`;
}

/** What the catalog promises, tried: a row of one tenant is looked for and written as another. It leaves nothing. */
async function probe(db: Database): Promise<Gap[]> {
  const gaps: Gap[] = [];
  const undo = new Error("undo");
  await db
    .tenant(planter, async (tx) => {
      const id = Bun.randomUUIDv7();
      await tx`insert into conversations (tenant_id, id, user_id, title) values (${planter}, ${id}, '', '')`;
      await tx`set local app.tenant_id to ${tx(stranger)}`.simple(); // the function would not reach Citus' workers
      const tables = await tx<{ name: string }[]>`
        select pg_class.oid::regclass::text as name from pg_class where ${isTenantTable(tx)} order by 1`;
      for (const { name } of tables) {
        const [seen] = await tx`select from ${tx.unsafe(name)} limit 1`;
        if (seen) gaps.push({ what: `rows of the table ${name} are shown to a stranger`, mend: [] });
      }
      const changed = await tx`update conversations set title = '' where id = ${id} returning id`;
      if (changed.length > 0) gaps.push({ what: "a stranger can change a conversation", mend: [] });
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  return gaps;
}
