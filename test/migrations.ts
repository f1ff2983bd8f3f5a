// What a migration may not do while the release before it is at work: stop everybody, or take away what that one uses.
const refused: [what: string, form: RegExp][] = [
  ["drops what the release before uses", /\bdrop (table|column|policy|role)\b/],
  ["renames what the release before uses", /\brename\b/],
  ["changes a column that the release before uses", /\balter column \w+ (set not null|type|set data type)\b/],
  [
    "adds a column that the release before cannot leave out",
    /\badd column \w+ (?![^,;]*\bdefault\b)[^,;]*\bnot null\b/,
  ],
  [
    "rewrites the table",
    /\badd column [^;]*?(\bgenerated\b|\bdefault (clock_timestamp|gen_random_uuid|random)\b)/,
  ],
  ["rewrites or locks the table", /\b(cluster|vacuum full|lock table|truncate)\b/],
  ["checks every row under a lock", /\badd (constraint \w+ )?(foreign key|check)\b(?![^;]*\bnot valid\b)/],
  ["checks every row under a lock", /\badd column [^;]*?\b(check|references)\b/],
  ["builds an index under a lock", /\badd (constraint \w+ )?(unique|primary key)\b(?!\s+using index)/],
  ["changes all rows in one statement", /(^|;)\s*(update|delete from|insert into \w+[^;]*\bselect)\b/],
];

/** What is wrong with the migration `name`; nothing where all is well. What it makes itself is nobody's yet. */
export function wrongIn(name: string, text: string): string[] {
  // What a function does is done by who calls it, later.
  const ofItself = text.replace(/^create (function|procedure) [\s\S]*?^\$\$;/gm, "");
  const sql = ofItself.replace(/--.*$/gm, "").replace(/\s+/g, " ").trim();
  const made = new Set([...sql.matchAll(/\bcreate (?:unlogged )?table (\w+)/g)].map(([, table]) => table));
  const statements = sql.split(/;\s*/).filter(Boolean);
  const onOthers = statements.filter((sql) => {
    const [, table] = /^(?:alter table|create (?:unique )?index \w+ on) (\w+)/.exec(sql) ?? [];
    return table === undefined || !made.has(table);
  });
  const wrong = onOthers.flatMap((sql) => refused.flatMap(([what, form]) => (form.test(sql) ? [what] : [])));
  const plain = onOthers.filter((sql) => /^create (unique )?index (?!concurrently)/.test(sql));
  if (plain.length > 0) wrong.push("builds an index under a lock");
  const concurrent = statements.filter((sql) => /\bconcurrently\b/.test(sql));
  if (name.endsWith(".concurrently.sql") && (concurrent.length !== 1 || statements.length !== 1))
    wrong.push("must be one statement, create index concurrently");
  if (!name.endsWith(".concurrently.sql") && concurrent.length > 0)
    wrong.push("must be named .concurrently.sql");
  return wrong;
}
