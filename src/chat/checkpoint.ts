// Checkpoints: what running answers have gained goes into their rows, so that it outlives the process. A row is given
// what was added since the last time, or the whole answer where it may have something else.

import type { Database, SystemTx } from "../db/db.ts";
import { type Claim, checkpoint, type Lease, look, type Text } from "../rows/claims.ts";
import type { Part } from "../rows/turns.ts";
import type { Answer } from "./answer.ts";

/** What a row has: so much of the answer (`length`), as `parts` parts of which the last has this type and length. */
type Saved = { length: number; parts: number; type: Part["type"] | undefined; chars: number };

export const nothing: Saved = { length: 0, parts: 0, type: undefined, chars: 0 };

/** A run that holds a claim until `renewAt`, and what is known to be in its row. */
export type Held = { claim: Claim; answer: Answer; saved: Saved; renewAt: number };

const runsTogether = 256;
const charsTogether = 256 * 1024;

/**
 * Some of the runs at a time: to write all there is at once would hold up the loop, above all where no word came back and
 * whole answers are to be sent again. A transaction costs the driver as much as forty rows, so it is not just a few.
 */
export function* together<Run extends Held>(runs: readonly Run[]): Generator<Run[]> {
  let some: Run[] = [];
  let chars = 0;
  for (const run of runs) {
    some.push(run);
    chars += run.answer.length - run.saved.length;
    if (some.length < runsTogether && chars < charsTogether) continue;
    yield some;
    some = [];
    chars = 0;
  }
  if (some.length > 0) yield some;
}

/**
 * Stores what the answers have gained and renews the claims that are due. Returns which turns are still this
 * instance's, each with whether somebody asked it to stop.
 */
export async function store(
  db: Database,
  runs: readonly Held[],
  lease: Lease,
  renewMs: number,
): Promise<Map<string, boolean>> {
  const now = Date.now();
  const due: Held[] = [];
  const others: Claim[] = [];
  for (const run of runs)
    if (run.renewAt <= now || run.answer.length > run.saved.length) due.push(run);
    else others.push(run.claim);
  const reached = new Map<Held, Saved>();
  const write = async (tx: SystemTx, runs: readonly Held[]) => {
    const rows = runs.map((run) => {
      const { text, saved } = gain(run.answer, run.saved);
      reached.set(run, saved);
      run.saved = nothing; // until there is word that this was stored
      return { ...run.claim, ...text };
    });
    return rows.length > 0 ? checkpoint(tx, rows, lease) : [];
  };
  const rows = await db.system(async (tx) => {
    const [stored, seen] = await Promise.all([write(tx, due), others.length > 0 ? look(tx, others) : []]);
    // Those whose rows have something else, as after a failover to a server that was behind; or whose claim is lost.
    const found = new Set(stored.map((row) => row.id));
    const rest = due.filter((run) => !found.has(run.claim.turnId));
    return [...stored, ...seen, ...(await write(tx, rest))];
  });
  for (const [run, saved] of reached) {
    run.saved = saved;
    run.renewAt = Date.now() + renewMs;
  }
  return new Map(rows.map((row) => [row.id, row.stop_requested]));
}

/** What a row that has `saved` lacks, and what it has when it was given that. */
function gain(answer: Answer, saved: Saved): { text: Text; saved: Saved } {
  const { length } = answer;
  if (length === saved.length) return { text: { parts: undefined }, saved };
  const parts = answer.parts(saved.length);
  const more = parts[0]?.type === saved.type ? (parts.shift()?.text ?? "") : "";
  const after = saved.parts > 0 ? { parts: saved.parts, chars: saved.chars, more } : undefined;
  const last = parts.at(-1);
  const type = last ? last.type : saved.type;
  const chars = last ? charsOf(last.text) : saved.chars + charsOf(more);
  return { text: { after, parts }, saved: { length, parts: saved.parts + parts.length, type, chars } };
}

/** As PostgreSQL counts them: a surrogate pair, which no piece of an answer splits, is one. */
function charsOf(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xd800) count--;
  return count;
}
