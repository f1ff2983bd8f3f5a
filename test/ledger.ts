// What visitors were told, held against what is stored: that no turn is lost, doubled, mixed up or left without an end.
import { type Chunk, call, sse, visitor } from "./client.ts";
import type { Fleet } from "./fleet.ts";
import { answer, type Step } from "./model.ts";
import { until } from "./support.ts";

/** A turn that the server acknowledged, and what its reader got of it. */
type Told = {
  id: string;
  message: string;
  text: string;
  terminal: string | undefined;
  /** How much the reader had, and when. */
  progress: { atMs: number; length: number }[];
};

/** Checkpoints are at most 500 ms apart; as much again for a machine that has other things to do. */
const behindMsMax = 1_000;
const paceMs = 40;

/** The whole answer to a message, so that an answer tells whose it is. */
const wholeAnswer = (message: string) => wordsOf(message).join("");
/** One in three goes on for so long that it has been checkpointed when something happens to it. */
const wordsOf = (message: string) =>
  Array.from({ length: /[0369]$/.test(message) ? 60 : 12 }, (_, i) => `${i} to ${message}; `);

/** Thinks for up to half a second, then says a word every 40 ms. */
function speak(message: string): Step[] {
  const saying = wordsOf(message).flatMap((text): Step[] => [{ text }, { pauseMs: paceMs }]);
  return [{ pauseMs: Math.random() * 500 }, ...saying, ...answer()];
}

/** Has the database note every write that gives a turn an end, or changes one that has it: one for each turn is right. */
export async function recordEndings(sql: Fleet["sql"]): Promise<void> {
  await sql.unsafe(`
    create table endings (turn_id uuid not null, status text not null);
    create function record_ending() returns trigger language plpgsql security definer as $$
      begin
        insert into public.endings values (new.id, new.status);
        return null;
      end
    $$;
    create trigger record_ending after insert or update on turns for each row
      when (new.finished_at is not null) execute function record_ending();`);
}

/** To be opened once the schema is there, which is when the fleet's first server has started. */
export async function openLedger({ sql, model }: Fleet) {
  const told: Told[] = [];
  const refusals: Record<string, number> = {};
  let asked = 0;
  model.always(({ messages }) => speak(messages.at(-1)?.content ?? ""));
  await recordEndings(sql);

  /** Asks once and reads as far as the answer comes. A server that is gone, or says so properly, is no failure. */
  async function ask(url: string, tenant: string, token: string): Promise<void> {
    const message = `${tenant} ${asked++}`;
    const detached = Math.random() < 0.3;
    const headers: Record<string, string> = detached ? { prefer: "respond-async" } : {};
    const response = await call(url, "POST", `/v1/${tenant}/turns`, {
      token,
      headers,
      body: { message },
    }).catch(() => undefined);
    if (response?.status === 202) {
      const body = (await response.json().catch(() => undefined)) as { turn: { id: string } } | undefined;
      if (body) told.push({ id: body.turn.id, message, text: "", terminal: undefined, progress: [] });
    } else if (response?.status === 200) {
      await read(response, message);
    } else if (response) {
      const { code } = (await response.json()) as { code: string };
      const known = response.status === 503 && Number(response.headers.get("retry-after")) > 0;
      const name = known ? code : `${response.status} ${code} without being told when to come back`;
      refusals[name] = (refusals[name] ?? 0) + 1;
    }
    if (response?.status !== 200) await Bun.sleep(50);
  }

  async function read(response: Response, message: string): Promise<void> {
    let entry: Told | undefined;
    try {
      for await (const { data } of sse(response)) {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data) as Chunk;
        if (chunk.type === "start") {
          entry = { id: String(chunk.messageId), message, text: "", terminal: undefined, progress: [] };
          told.push(entry);
        } else if (entry && chunk.type === "text-delta") {
          entry.text += chunk.delta;
          entry.progress.push({ atMs: performance.now(), length: entry.text.length });
        } else if (entry && ["finish", "abort", "error"].includes(chunk.type)) {
          entry.terminal = entry.terminal ? "two of them" : chunk.type;
        }
      }
    } catch {
      // The server was killed.
    }
  }

  /** `count` visitors who ask one thing after the other until `signal`; `pick` says where. */
  async function visitors(
    count: number,
    tenants: string[],
    pick: () => string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const visit = async (i: number) => {
      const tenant = tenants[i % tenants.length] ?? "";
      const token = await visitor(pick() ?? "", tenant);
      while (!signal.aborted) {
        const url = pick();
        if (url) await ask(url, tenant, token);
        else await Bun.sleep(50);
      }
    };
    await Promise.all(Array.from({ length: count }, (_, i) => visit(i)));
  }

  /** All that is wrong, once every turn has had the time to end. */
  async function problems(timeoutMs: number): Promise<string[]> {
    const live = () => sql`select from turns where status in ('queued', 'running') limit 1`;
    await until(async () => (await live().catch(() => [0])).length === 0, "every turn ends", timeoutMs);
    const rows = await sql<Row[]>`
      select t.id, t.tenant_id, t.status, t.message, t.epoch, c.title, c.user_id = t.user_id as same_user,
        (select coalesce(string_agg(p ->> 'text', '' order by n), '')
          from jsonb_array_elements(t.parts) with ordinality as x (p, n)) as answer,
        (select count(*)::integer from endings e where e.turn_id = t.id) as endings
      from turns t join conversations c on c.tenant_id = t.tenant_id and c.id = t.conversation_id`;
    const halves = await sql`
      select c.id from conversations c
      where not exists (select from turns t where t.tenant_id = c.tenant_id and t.conversation_id = c.id)`;
    const stored = new Map(rows.map((row) => [row.id, row]));
    return [
      ...halves.map(({ id }) => `conversation ${id} was stored without its turn`),
      ...rows.flatMap((row) => wrongIn(row).map((what) => `${row.message}: ${what} (${row.status})`)),
      ...told.flatMap((entry) =>
        wrongBetween(entry, stored.get(entry.id)).map((what) => `${entry.message}: ${what}`),
      ),
      ...Object.keys(refusals).filter((name) => name.includes("without")),
    ];
  }

  /** How many turns ended in which way, and how many of them had to be run again. */
  async function outcomes(): Promise<Record<string, number>> {
    const rows = await sql<{ status: string; count: number }[]>`
      select case when status = 'done' and epoch > 2 then 'done again' else status end as status, count(*)::integer
      from turns group by 1`;
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  return { told, refusals, visitors, problems, outcomes };
}

type Row = {
  id: string;
  tenant_id: string;
  status: string;
  message: string;
  epoch: number;
  title: string;
  same_user: boolean;
  answer: string;
  endings: number;
};

/** A silent turn is given up after its third death, which the fourth epoch shows. */
const epochGivenUp = 4;

function wrongIn({ tenant_id, status, message, epoch, title, same_user, answer, endings }: Row): string[] {
  const whole = wholeAnswer(message);
  const wrong: Record<string, boolean> = {
    "is in another's conversation": title !== message || !same_user,
    "is another tenant's": !message.startsWith(`${tenant_id} `),
    "ended so many times": endings !== 1,
    "ended in no way known": status !== "done" && status !== "interrupted",
    "is done but not whole": status === "done" && answer !== whole,
    "has what the model did not say": !whole.startsWith(answer),
    "was not run again though nothing had been said":
      status === "interrupted" && answer === "" && epoch < epochGivenUp,
  };
  return Object.keys(wrong).filter((what) => wrong[what]);
}

function wrongBetween({ message, text, terminal, progress }: Told, row: Row | undefined): string[] {
  if (!row) return ["was acknowledged and is lost"];
  const whole = wholeAnswer(message);
  const since = (progress.at(-1)?.atMs ?? 0) - behindMsMax;
  const saved = progress.findLast(({ atMs }) => atMs < since)?.length ?? 0;
  const wrong: Record<string, boolean> = {
    "is stored with another message": row.message !== message,
    "was read as something else": !whole.startsWith(text),
    "was read to the end but not whole": terminal === "finish" && text !== whole,
    "was read to the end but is not done": terminal === "finish" && row.status !== "done",
    "had two ends for its reader": terminal === "two of them",
    "lost text that was older than a checkpoint": row.status === "interrupted" && row.answer.length < saved,
  };
  return Object.keys(wrong).filter((what) => wrong[what]);
}
