// The message on its way: written down before it is sent and crossed out once the server has it, so that neither
// a reload nor a lost connection in between can lose it or have it answered twice.

import { newId, type Question } from "./api.ts";
import type { Storage } from "./storage.ts";

type Asked = Question & { message: string };
/** `key` is its idempotency key, `after` the newest turn that was there before it. */
export type Unsent = Asked & { key: string; after?: string | undefined };

export class Outbox {
  constructor(private readonly storage: Storage) {}

  get unsent(): Unsent | undefined {
    try {
      return JSON.parse(this.storage.recall("unsent") ?? "");
    } catch {
      return undefined;
    }
  }

  /**
   * Writes the message down. The same one once more is the same request, and so keeps its idempotency key and the
   * context it was first sent with.
   */
  put(question: Asked, after: string | undefined): { key: string; question: Question } {
    const before = this.unsent;
    const again =
      before?.message === question.message &&
      before.conversation_id === question.conversation_id &&
      before.replaces === question.replaces;
    const unsent = again ? before : { ...question, key: newId(), after };
    this.storage.remember("unsent", JSON.stringify(unsent));
    return { key: unsent.key, question: again ? { ...question, context: before.context } : question };
  }

  /** What is still to be sent, given the newest turns that the server has: the same words may have been said before. */
  missing(turns: readonly { id: string; message: string }[]): Unsent | undefined {
    const { unsent } = this;
    const newest = turns.at(-1);
    if (newest?.message === unsent?.message && newest?.id !== unsent?.after) this.clear();
    return this.unsent;
  }

  /** Takes it back. */
  take(): Unsent | undefined {
    const { unsent } = this;
    this.clear();
    return unsent;
  }

  clear() {
    this.storage.forget("unsent");
  }
}
