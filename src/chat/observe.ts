// The answer of a turn that runs somewhere else or has ended: read from its row, and read again until it has an ending.

import type { Database } from "../db/db.ts";
import { log } from "../log.ts";
import * as turns from "../rows/turns.ts";
import type { Whose } from "../rows/users.ts";
import { Answer } from "./answer.ts";

const pollMs = 300; // with the checkpoints every 500 ms a reader is less than a second behind

type Watched = { answer: Answer; readers: Set<AbortSignal> };

export class Observers {
  /** The turns that are being watched: one copy and one poll each, however many read it. */
  #watched = new Map<string, Watched>();

  constructor(readonly db: Database) {}

  /** An Answer that grows as the row does. The watching ends with the turn, or with its last reader's `signal`. */
  observe(tenantId: string, whose: Whose, turn: turns.Turn, signal: AbortSignal): Answer {
    if (turns.endingOf(turn)) return copied(turn, new Answer());
    let watched = this.#watched.get(turn.id);
    if (!watched) {
      const readers = new Set<AbortSignal>();
      const answer = new Answer();
      watched = { readers, answer };
      this.#watched.set(turn.id, watched);
      this.adopt(tenantId, whose, turn, answer, () => {
        for (const reader of readers) if (reader.aborted) readers.delete(reader);
        if (readers.size > 0) return true;
        this.#watched.delete(turn.id);
        return false;
      });
    }
    watched.readers.add(signal);
    return watched.answer;
  }

  /** Has `answer` go on as the row does, until the turn ends or `wanted` says no. */
  adopt(tenantId: string, whose: Whose, turn: turns.Turn, answer: Answer, wanted = () => true): void {
    copied(turn, answer);
    const poll = async () => {
      if (!wanted()) return;
      try {
        copied(await this.db.tenant(tenantId, (tx) => turns.get(tx, whose, turn.id)), answer);
      } catch (error) {
        // A deleted turn ends for its readers; a database that is away comes back.
        if ((error as { code?: string }).code === "not_found") answer.end({ status: "interrupted" });
        else
          log.warn(
            { err: error, tenant_id: tenantId, turn_id: turn.id },
            "a turn that runs elsewhere could not be read",
          );
      }
      if (answer.ending) this.#watched.delete(turn.id);
      else setTimeout(poll, pollMs);
    };
    if (!answer.ending) setTimeout(poll, pollMs);
  }
}

/** Appends what the row has beyond the answer, and returns that. */
function copied(turn: turns.Turn, answer: Answer): Answer {
  let start = 0;
  for (const { type, text } of turn.parts) {
    answer.append(type, text.slice(Math.max(0, answer.length - start)));
    start += text.length;
  }
  const ending = turns.endingOf(turn);
  if (ending) answer.end(ending);
  else answer.flush();
  return answer;
}
