// The schema itself, read from the catalog: tenancy is a property of every table, not of the queries.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Database, SystemTx } from "../src/db/db.ts";
import { databases } from "./database.ts";

/** Tables of the whole installation. Every other one is the tenants'. */
const shared = ["instance_keys", "migrations"];

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  let tables: string[];
  beforeAll(async () => {
    db = await open();
    const rows = await db.system(
      (tx) => tx<{ name: string }[]>`
      select relname as name from pg_class
      where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace order by relname`,
    );
    tables = rows.map((row) => row.name).filter((name) => !shared.includes(name));
  });
  const ask = <T>(query: (tx: SystemTx) => Promise<T>) => db.system(query);

  test("there are tenant tables", () => {
    expect(tables).toEqual(expect.arrayContaining(["conversations", "turns"]));
  });

  test("every tenant table has row-level security, for reading and for writing", async () => {
    for (const table of tables) {
      const [row] = await ask((tx) => tx`select relrowsecurity from pg_class where relname = ${table}`);
      expect(row, table).toEqual({ relrowsecurity: true });
      const policies = await ask(
        (tx) => tx<{ cmd: string; roles: string; qual: string; with_check: string }[]>`
        select cmd, roles::text, qual, with_check from pg_policies where tablename = ${table}`,
      );
      expect(
        policies.map(({ cmd, roles }) => ({ cmd, roles })),
        table,
      ).toEqual([{ cmd: "ALL", roles: "{cip_app}" }]);
      for (const condition of [policies[0]?.qual, policies[0]?.with_check])
        expect(condition, table).toBe("(tenant_id = current_setting('app.tenant_id'::text))");
    }
  });

  test("every primary key, unique index and foreign key of a tenant table begins with tenant_id", async () => {
    for (const table of tables) {
      const keys = await ask(
        (tx) => tx<{ name: string; first: string }[]>`
        select i.relname as name, a.attname as first from pg_index x
        join pg_class i on i.oid = x.indexrelid
        join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
        where x.indrelid = ${table}::regclass and x.indisunique
        union all
        select c.conname, a.attname || ' → ' || f.attname from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
        where c.conrelid = ${table}::regclass and c.contype = 'f'`,
      );
      expect(keys.length, table).toBeGreaterThan(0);
      for (const { name, first } of keys) expect(first, name).toMatch(/^tenant_id( → tenant_id)?$/);
    }
  });

  test("the tenants' role can do nothing but read and write the tenants' rows", async () => {
    const [role] = await ask(
      (tx) => tx`
      select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin from pg_roles where rolname = 'cip_app'`,
    );
    expect(role).toEqual({
      rolsuper: false,
      rolbypassrls: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolcanlogin: false,
    });
    for (const table of shared) {
      const refused = await db
        .tenant("acme", (tx) => tx`select * from ${tx(table)}`)
        .catch((error: unknown) => error);
      expect((refused as { code?: string }).code, table).toBe("42501");
    }
    const owned = await ask((tx) => tx`select relname from pg_class where relowner = 'cip_app'::regrole`);
    expect([...owned]).toEqual([]);
  });
});
