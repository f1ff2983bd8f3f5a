// The message on its way: written down before it is sent and crossed out once the server has it, so that neither
// a reload nor a lost connection in between can lose it or have it answered twice.

import { newId, type Question } from "./api.ts";
import type { Storage } from "./storage.ts";

/** `key` is its idempotency key. */
export type Unsent = Question & { message: string; key: string };

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
  put(question: Omit<Unsent, "key">): Unsent {
    const before = this.unsent;
    const again =
      before?.message === question.message &&
      before.conversation_id === question.conversation_id &&
      before.replaces === question.replaces;
    const unsent = again ? before : { ...question, key: newId() };
    this.storage.remember("unsent", JSON.stringify(unsent));
    return unsent;
  }

  /** What is still to be sent, given the newest turns that the server has. */
  missing(turns: readonly { message: string }[]): Unsent | undefined {
    if (turns.at(-1)?.message === this.unsent?.message) this.clear();
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
