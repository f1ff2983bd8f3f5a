// The answer of a turn that runs somewhere else or has ended: read from its row, and read again until it has an ending.
import { Answer } from "./answer.ts";
import type { Database } from "./db.ts";
import { log } from "./log.ts";
import * as turns from "./turns.ts";

const pollMs = 300; // with the checkpoints every 500 ms a reader is less than a second behind

/** An Answer that grows as the row does. The watching ends with the turn, or when `signal` is aborted. */
export function observe(
  db: Database,
  tenantId: string,
  userId: string,
  turn: turns.Turn,
  signal: AbortSignal,
): Answer {
  const answer = new Answer();
  copy(turn, answer);
  const poll = async () => {
    if (signal.aborted || answer.ending) return;
    try {
      copy(await db.tenant(tenantId, (tx) => turns.get(tx, userId, turn.id)), answer);
    } catch (error) {
      // A deleted turn ends for its readers; a database that is away comes back.
      if ((error as { code?: string }).code === "not_found") answer.end({ status: "interrupted" });
      else log.warn({ err: error, turn_id: turn.id }, "a turn that runs elsewhere could not be read");
    }
    if (!answer.ending) setTimeout(poll, pollMs);
  };
  if (!answer.ending) setTimeout(poll, pollMs);
  return answer;
}

/** Appends what the row has beyond the answer. */
function copy(turn: turns.Turn, answer: Answer): void {
  let start = 0;
  for (const { type, text } of turn.parts) {
    answer.append(type, text.slice(Math.max(0, answer.length - start)));
    start += text.length;
  }
  const ending = turns.endingOf(turn);
  if (ending) answer.end(ending);
  else answer.flush();
}
