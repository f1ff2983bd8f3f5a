// What the tests of export, import and retention share: a tenant with much or old of everything, and its archive as rows.
import type postgres from "postgres";
import type { Database } from "../src/db/db.ts";

/** Fills a tenant with so many turns, three to a conversation, made by the database itself; the same on every one. */
export async function fill(db: Database, tenantId: string, turns: number): Promise<void> {
  const id = (what: string, n: string) =>
    `(substr(md5('${what}' || ${n}), 1, 12) || '7' || substr(md5('${what}' || ${n}), 14))::uuid`;
  const at = (n: string) => `timestamptz '2026-01-01T00:00:00Z' + ${n} * interval '1001 milliseconds'`;
  await db.system(async (tx) => {
    await tx.unsafe(`
      insert into users (tenant_id, id, name, email, updated_at)
      select '${tenantId}', 'user:' || case when n % 2 = 0 then 'Ünï-' else 'z-' end || n, 'Name ' || n, null, ${at("n")}
      from generate_series(1, ${Math.ceil(turns / 30)}) n`);
    await tx.unsafe(`
      insert into conversations (tenant_id, id, user_id, title, created_at, updated_at)
      select '${tenantId}', ${id("c", "n")},
        case when n % 5 = 0 then 'user:z-' || n else ${id("u", "n")}::text end, 'Title ' || n, ${at("n")}, ${at("n")}
      from generate_series(0, ${Math.ceil(turns / 3) - 1}) n`);
  }, 60_000);
  // In pieces, as a statement may take only so long.
  for (let from = 0; from < turns; from += 5_000) {
    await db.system(
      (tx) =>
        tx.unsafe(`
      insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, finish_reason, input_tokens,
        output_tokens, rating, comment, context, idempotency_key, request_hash, versions, created_at, finished_at)
      select '${tenantId}', ${id("t", "n")}, ${id("c", "n / 3")},
        case when n / 3 % 5 = 0 then 'user:z-' || n / 3 else ${id("u", "n / 3")}::text end,
        'done', 'Question "' || n || E'" 👋\\n', jsonb_build_array(
          jsonb_build_object('type', 'reasoning', 'text', 'Hm.'),
          jsonb_build_object('type', 'text', 'text', repeat('Answer ', 100) || n)),
        'stop', 7, n, case when n % 4 = 0 then 'up' end, case when n % 8 = 0 then 'Good' end,
        case when n % 6 = 0 then '{"url": "https://shop.example/", "fields": {"b": "2", "a": "1"}}'::jsonb end,
        case when n % 7 = 0 then 'key ' || n end, case when n % 7 = 0 then 'hash' end,
        case when n % 3 = 2 then jsonb_build_array(${id("t", "(n - 1)")}) else '[]' end, ${at("n")}, ${at("n")}
      from generate_series(${from}, ${Math.min(from + 5_000, turns) - 1}) n`),
      60_000,
    );
  }
}

/** The names of the tables in which one of `texts` stands in some column, of whatever type. */
export async function tablesWith(sql: postgres.Sql, ...texts: string[]): Promise<string[]> {
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`;
  const found: string[] = [];
  for (const { name } of tables)
    for (const text of texts) {
      const rows = await sql`select from ${sql(name)} t where strpos(to_jsonb(t)::text, ${text}) > 0 limit 1`;
      if (rows.length > 0) found.push(`${name}: ${text}`);
    }
  return found;
}
