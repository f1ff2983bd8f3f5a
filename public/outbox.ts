// The message on its way: written down before it is sent and crossed out once the server has it, so that neither
// a reload nor a lost connection in between can lose it or have it answered twice.

import { newId } from "./api.ts";
import type { Storage } from "./storage.ts";

export type Unsent = { conversationId: string; message: string; key: string };

export class Outbox {
  constructor(private readonly storage: Storage) {}

  get unsent(): Unsent | undefined {
    try {
      return JSON.parse(this.storage.recall("unsent") ?? "");
    } catch {
      return undefined;
    }
  }

  /** Writes the message down. The same one once more is the same request, and so keeps its idempotency key. */
  put(conversationId: string, message: string): Unsent {
    const before = this.unsent;
    const again = before?.message === message && before.conversationId === conversationId;
    const unsent = again ? before : { conversationId, message, key: newId() };
    this.storage.remember("unsent", JSON.stringify(unsent));
    return unsent;
  }

  clear() {
    this.storage.forget("unsent");
  }
}
