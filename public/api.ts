// The server's calls as functions, and the visitor's token, which is the only credential: got when first
// needed, kept in this browser, and replaced once when the server no longer accepts it.

import type { Storage } from "./storage.ts";

export type Part = { type: "reasoning" | "text"; text: string };

export type Turn = {
  id: string;
  conversation_id: string;
  status: "queued" | "running" | "done" | "stopped" | "failed" | "interrupted";
  message: string;
  parts: Part[];
  finish_reason: string | null;
  error: { code: string; message: string } | null;
};

/** `next_cursor` leads to the turns before the oldest given. */
export type History = { turns: Turn[]; next_cursor: string | null };

/** A refusal of the server (RFC 9457), or, with status 0, no answer from it at all. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly turnId?: string,
  ) {
    super(code);
  }

  /** Whether the same request may succeed a little later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

// Browsers refuse more than 64 KiB with `keepalive`, and a character can take three bytes.
const keepaliveCharsMost = 20_000;

export class Api {
  #token: Promise<string> | undefined;

  constructor(
    private readonly tenant: string,
    private readonly storage: Storage,
  ) {}

  /** False for a visitor who has never been here, and so has nothing to be loaded. */
  get known(): boolean {
    return this.storage.recall("token") !== undefined;
  }

  history(conversationId: string, before?: string): Promise<History> {
    const cursor = before === undefined ? "" : `?before=${encodeURIComponent(before)}`;
    return this.#json(`/conversations/${conversationId}${cursor}`);
  }

  async turn(id: string): Promise<Turn> {
    const { turn } = await this.#json<{ turn: Turn }>(`/turns/${id}`);
    return turn;
  }

  /** Opens a turn; resolves once the server has stored the message. `keepalive` lets it outlive this page. */
  ask(message: string, conversationId: string, key: string, signal: AbortSignal): Promise<Response> {
    const body = JSON.stringify({ message, conversation_id: conversationId });
    return this.#fetch("/turns", {
      method: "POST",
      headers: { accept: "text/event-stream", "content-type": "application/json", "idempotency-key": key },
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

  async #json<Body>(path: string): Promise<Body> {
    const response = await this.#fetch(path, { headers: { accept: "application/json" } });
    return readJson<Body>(response);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const token = await this.#identify();
    const response = await this.#attempt(path, init, token);
    if (response.status !== 401) return succeed(response);
    if (this.storage.recall("token") === token) this.storage.forget("token");
    this.#token = undefined;
    return succeed(await this.#attempt(path, init, await this.#identify()));
  }

  async #attempt(path: string, init: RequestInit, token?: string): Promise<Response> {
    const headers = new Headers(init.headers);
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    try {
      return await fetch(`/v1/${this.tenant}${path}`, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Problem(0, "unreachable");
    }
  }

  #identify(): Promise<string> {
    const kept = this.storage.recall("token");
    if (kept !== undefined) return Promise.resolve(kept);
    this.#token ??= this.#meet().finally(() => {
      this.#token = undefined;
    });
    return this.#token;
  }

  async #meet(): Promise<string> {
    const headers = { "content-type": "application/json" };
    const response = await succeed(await this.#attempt("/visitors", { method: "POST", headers, body: "{}" }));
    const { token } = await readJson<{ token: string }>(response);
    this.storage.remember("token", token);
    return token;
  }
}

async function succeed(response: Response): Promise<Response> {
  if (response.ok) return response;
  // A proxy in between may answer with a page of its own, so the body is not trusted to be a problem document.
  const body = await response.json().catch(() => ({}));
  throw new Problem(response.status, String(body.code ?? response.status), body.turn_id);
}

async function readJson<Body>(response: Response): Promise<Body> {
  try {
    return await response.json();
  } catch {
    throw new Problem(0, "unreachable");
  }
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
