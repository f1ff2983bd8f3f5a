// The server's calls as functions, for the visitor who is here.

import type { Storage } from "./storage.ts";
import { Visitor } from "./visitor.ts";
import { attempt, json, readJson, succeed } from "./wire.ts";

export type Part = { type: "reasoning" | "text"; text: string };
export type Rating = "up" | "down" | null;
export type Feedback = { rating: Rating; comment: string | null };

export type Turn = {
  id: string;
  conversation_id: string;
  status: "queued" | "running" | "done" | "stopped" | "failed" | "interrupted";
  message: string;
  parts: Part[];
  finish_reason: string | null;
  error: { code: string; message: string } | null;
  /** The turns that this one replaced, oldest first. */
  versions: string[];
  feedback: Feedback | null;
};

/** `next_cursor` leads to the turns before the oldest given. */
export type History = { turns: Turn[]; next_cursor: string | null };

export type Entry = { id: string; title: string; updated_at: string };
export type Entries = { conversations: Entry[]; next_cursor: string | null };

/** Where the visitor is on the site, in the words of the site. */
export type PageContext = { url?: string; title?: string; fields?: Record<string, string> };

/** What is asked for. Without a message the one of the turn that it replaces is asked again. */
export type Question = {
  conversation_id: string;
  message?: string | undefined;
  replaces?: string | undefined;
  context?: PageContext | undefined;
};

// Browsers refuse more than 64 KiB with `keepalive`, and a character can take three bytes.
const keepaliveCharsMost = 20_000;

export class Api {
  readonly visitor: Visitor;
  readonly #base: string;

  /** `locale` is the language that the page was asked to speak, in which the model is to answer as well. */
  constructor(
    tenant: string,
    storage: Storage,
    private readonly locale: string | null,
  ) {
    this.#base = `/v1/${tenant}`;
    this.visitor = new Visitor(`${this.#base}/visitors`, storage);
  }

  history(conversationId: string, before?: string | null): Promise<History> {
    return this.#json(`/conversations/${conversationId}${pageFrom(before)}`);
  }

  conversations(before?: string | null): Promise<Entries> {
    return this.#json(`/conversations${pageFrom(before)}`);
  }

  async rename(id: string, title: string) {
    await this.#fetch(`/conversations/${id}`, json("PATCH", { title }));
  }

  async remove(id: string) {
    await this.#fetch(`/conversations/${id}`, { method: "DELETE" });
  }

  /** All that the server holds of this visitor, as a file of this type. */
  async export(type: string): Promise<Blob> {
    const response = await this.#fetch("/visitors/me/export", { headers: { accept: type } });
    return response.blob();
  }

  /** Deletes all that the server holds of this visitor. */
  async forget() {
    await this.#fetch("/visitors/me", { method: "DELETE" });
  }

  async turn(id: string): Promise<Turn> {
    const { turn } = await this.#json<{ turn: Turn }>(`/turns/${id}`);
    return turn;
  }

  /** Opens a turn; resolves once the server has stored the message. `keepalive` lets it outlive this page. */
  async ask(question: Question, key: string, signal: AbortSignal): Promise<Response> {
    await this.visitor.settled;
    signal.throwIfAborted();
    const body = JSON.stringify(question);
    return this.#fetch("/turns", {
      method: "POST",
      headers: {
        accept: "text/event-stream",
        "content-type": "application/json",
        "idempotency-key": key,
        ...(this.locale && { "accept-language": this.locale }),
      },
      body,
      keepalive: body.length < keepaliveCharsMost,
      signal,
    });
  }

  stream(turnId: string, after: number, signal: AbortSignal): Promise<Response> {
    return this.#fetch(`/turns/${turnId}/stream?after=${after}`, {
      headers: { accept: "text/event-stream" },
      signal,
    });
  }

  async stop(turnId: string): Promise<void> {
    await this.#fetch(`/turns/${turnId}/stop`, { method: "POST" });
  }

  async rate(turnId: string, { rating, comment }: Feedback) {
    const said = comment === null ? {} : { comment };
    await this.#fetch(`/turns/${turnId}/feedback`, json("PUT", { rating, ...said }));
  }

  async #json<Body>(path: string): Promise<Body> {
    const response = await this.#fetch(path, { headers: { accept: "application/json" } });
    return readJson<Body>(response);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const token = await this.visitor.token();
    const response = await attempt(this.#base + path, init, token);
    if (response.status !== 401) return succeed(response);
    this.visitor.refuse(token);
    return succeed(await attempt(this.#base + path, init, await this.visitor.token()));
  }
}

function pageFrom(before: string | null | undefined): string {
  return before ? `?before=${encodeURIComponent(before)}` : "";
}

/** A UUIDv7 (RFC 9562, section 5.7); `crypto.randomUUID` is missing where the page is served without TLS. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  const nowMs = Date.now();
  view.setUint32(0, Math.floor(nowMs / 0x10000));
  view.setUint16(4, nowMs % 0x10000);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
