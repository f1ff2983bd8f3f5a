// Fills a database from inside the server, so that millions of turns take minutes and not hours.
import postgres from "postgres";

const turnsPerConversation = 10;
const batchTurns = 500_000;

export type Filler = {
  /** A conversation of that visitor's with so many finished turns; its id. */
  conversation(userId: string, turns: number): Promise<string>;
  /** That many turns of other visitors, ten a conversation; `told` hears how many are there. */
  others(turns: number, told: (turns: number) => void): Promise<void>;
  end(): Promise<void>;
};

/** As superuser and without the triggers of foreign keys: what is filled in keeps to them by its making. */
export function filler(superuserUrl: string, databaseUrl: string): Filler {
  const url = new URL(superuserUrl);
  url.pathname = new URL(databaseUrl).pathname;
  const connection = { session_replication_role: "replica", synchronous_commit: "off" };
  const sql = postgres(url.href, { max: 1, onnotice: () => {}, connection });
  return {
    async conversation(userId, turns) {
      const id = Bun.randomUUIDv7();
      await sql`
        insert into conversations (tenant_id, id, user_id, title)
        values ('default', ${id}, ${userId}, 'What was said')`;
      await sql`
        insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, finish_reason,
                           created_at, finished_at)
        select 'default', uuidv7(), ${id}, ${userId}, 'done', 'Question ' || i,
               '[{"type": "text", "text": "An answer of some words."}]', 'stop', at, at
        from (select i, now() - (${turns} - i) * interval '1 second' as at
              from generate_series(1, ${turns}::integer) as i) as numbered
        order by i`;
      return id;
    },
    async others(turns, told) {
      for (let stored = 0; stored < turns; stored += batchTurns) {
        told(stored);
        const conversations = Math.ceil(Math.min(batchTurns, turns - stored) / turnsPerConversation);
        await sql`
          with made as (
            insert into conversations (tenant_id, id, user_id, title)
            select 'default', uuidv7(), uuidv7()::text, 'What was said'
            from generate_series(1, ${conversations}::integer)
            returning id, user_id
          )
          insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, finish_reason,
                             created_at, finished_at)
          select 'default', uuidv7(), id, user_id, 'done', 'Question ' || i,
                 '[{"type": "text", "text": "An answer of some words."}]', 'stop',
                 now() + i * interval '1 second', now() + i * interval '1 second'
          from made, generate_series(1, ${turnsPerConversation}::integer) as i`;
      }
      await sql`vacuum analyze conversations`;
      await sql`vacuum analyze turns`;
    },
    end: () => sql.end(),
  };
}
