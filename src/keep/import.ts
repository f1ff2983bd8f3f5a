// Import: an archive's lines into the rows of a tenant. It only ever adds: what is there already stays as it is, so that
// it can be repeated, and what was read before it was interrupted is kept.

import type { Database, TenantTx } from "../db/db.ts";
import * as copies from "../rows/copies.ts";
import * as archive from "./archive.ts";
import { type Line, LineError, linesOf } from "./lines.ts";

/** `there` were there before; `foreign` have an id that is somebody else's here, and were left out. */
export type Tally = Record<keyof archive.Counts, { added: number; there: number; foreign: number }>;

const rowsAtOnce = 500;
const bytesAtOnce = 2 * 1024 * 1024;

/**
 * Reads the archive to its end, in transactions of some hundred lines. `tenantId`: instead of the one it was made of.
 * `tell` learns after each how far it has come; where it returns false, that was the last. Throws LineError for the first
 * line that does not hold, with all before it stored.
 */
export async function read(
  db: Database,
  chunks: AsyncIterable<Uint8Array>,
  tenantId: string | undefined,
  tell: (tally: Tally) => boolean,
): Promise<{ tenantId: string; tally: Tally }> {
  const lines = linesOf(chunks, archive.lineBytesMax);
  const first = await lines.next();
  if (first.done) throw new LineError(1, "is missing: the file is empty");
  const header = said(first.value, archive.headerIn);
  const into = tenantId ?? header.tenant;
  const none = () => ({ added: 0, there: 0, foreign: 0 });
  const tally: Tally = { users: none(), conversations: none(), turns: none() };
  const batch = new Batch(header);
  const store = async () => {
    await db.tenant(into, (tx) => batch.store(tx, tally));
    return tell(tally);
  };
  try {
    for await (const { entry, bytes } of inOrder(lines)) {
      batch.add(entry, bytes);
      if (batch.isFull && !(await store())) return { tenantId: into, tally };
    }
  } catch (error) {
    if (error instanceof LineError) await store();
    throw error;
  }
  await store();
  return { tenantId: into, tally };
}

/** What the line says, or that it does not hold. */
function said<T>({ number, text }: Line, read: (text: string) => T): T {
  try {
    return read(text);
  } catch (error) {
    throw error instanceof archive.ArchiveError ? new LineError(number, error.message) : error;
  }
}

type Entry = { entry: archive.Said; bytes: number };

/** Users first, then each conversation with its turns, and at the end as many of each as it says. */
async function* inOrder(lines: AsyncIterable<Line>): AsyncGenerator<Entry> {
  const counts: archive.Counts = { users: 0, conversations: 0, turns: 0 };
  let conversationId: string | undefined;
  let end: archive.Counts | undefined;
  let number = 1;
  for await (const line of lines) {
    number = line.number;
    const wrong = (reason: string) => new LineError(number, reason);
    if (end) throw wrong("comes after the end");
    const entry = said(line, archive.entryIn);
    if ("end" in entry) {
      end = entry.end;
      if (!Bun.deepEquals(end, counts))
        throw wrong(`counts ${words(end)}, but the file has ${words(counts)}`);
      continue;
    }
    if ("user" in entry && conversationId) throw wrong("is a user, and users come before the conversations");
    if ("conversation" in entry) conversationId = entry.conversation.id;
    if ("turn" in entry && entry.turn.conversation_id !== conversationId)
      throw wrong("is a turn of another conversation than the one before it");
    counts[archive.kindOf(entry)]++;
    yield { entry, bytes: line.bytes };
  }
  if (!end) throw new LineError(number, "is the last, and not the end of an export: the file was cut short");
}

export function words({ users, conversations, turns }: archive.Counts): string {
  return `${users} users, ${conversations} conversations and ${turns} turns`;
}

/** Lines on their way into one transaction. */
class Batch {
  #users: copies.User[] = [];
  #conversations: copies.Conversation[] = [];
  #turns: copies.Turn[] = [];
  #rows = 0;
  #bytes = 0;
  #userKey = "";

  constructor(readonly header: archive.Header) {}

  get isFull(): boolean {
    return this.#rows >= rowsAtOnce || this.#bytes >= bytesAtOnce;
  }

  add(entry: archive.Said, bytes: number): void {
    this.#rows++;
    this.#bytes += bytes;
    if ("user" in entry) {
      const { name, email, updated_at } = entry.user;
      this.#users.push({ id: archive.userKeyOf(entry.user), name, email, updated_at });
    } else if ("conversation" in entry) {
      const { anonymous, ...row } = entry.conversation;
      this.#userKey = archive.userKeyOf(entry.conversation);
      this.#conversations.push({ ...row, user_id: this.#userKey });
    } else this.#turns.push(turnOf(entry.turn, this.#userKey, this.header));
  }

  async store(tx: TenantTx, tally: Tally): Promise<void> {
    const stored = await Promise.all([
      copies.addUsers(tx, this.#users),
      copies.addConversations(tx, this.#conversations),
      copies.addTurns(tx, this.#turns),
    ]);
    const given = [this.#users, this.#conversations, this.#turns];
    for (const [i, kind] of (["users", "conversations", "turns"] as const).entries()) {
      const { added, foreign } = stored[i] as copies.Stored;
      tally[kind].added += added;
      tally[kind].foreign += foreign;
      tally[kind].there += (given[i]?.length ?? 0) - added - foreign;
    }
    [this.#users, this.#conversations, this.#turns] = [[], [], []];
    this.#rows = this.#bytes = 0;
  }
}

/** An answer that was still to be written, or being written, when the archive was made ends there, with what it had. */
function turnOf(turn: archive.Turn, user_id: string, { exported_at }: archive.Header): copies.Turn {
  const { usage, error, feedback, idempotency, finished_at, status, ...rest } = turn;
  return {
    ...rest,
    user_id,
    status: archive.isLive(turn) ? "interrupted" : status,
    input_tokens: usage?.input_tokens ?? null,
    output_tokens: usage?.output_tokens ?? null,
    error_code: error?.code ?? null,
    rating: feedback?.rating ?? null,
    comment: feedback?.comment ?? null,
    idempotency_key: idempotency?.key ?? null,
    request_hash: idempotency?.request_hash ?? null,
    finished_at: finished_at ?? exported_at,
  };
}
