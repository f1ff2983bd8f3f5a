// GET /socket: many turns over one WebSocket, the same chunks as everywhere, each as {"turn_id", "offset", "chunk"}.
import { Elysia } from "elysia";
import type { Opened } from "../chat/chat.ts";
import { follow } from "../chat/follow.ts";
import type { Tenant } from "../config/config.ts";
import { CipError } from "../errors.ts";
import { addressOf } from "../identity/address.ts";
import { identify } from "../identity/identity.ts";
import { beginReading, refused, socketsOpen } from "../metrics/metrics.ts";
import { marksOf, type Trace, traceOf } from "../trace.ts";
import { bodyBytesMax, parsed } from "./body.ts";
import { type Frame, isFrame, refCharsMax } from "./frame.ts";
import { document, expected } from "./problem.ts";
import { questionOf } from "./question.ts";
import {
  type Caller,
  countRead,
  type Services,
  sitePrefix,
  tenantOf,
  uuidOf,
  visitorOf,
} from "./services.ts";
import { stalledSeconds } from "./sse.ts";

const authMs = 5_000;
/** What may wait in the socket of a reader that does not read. */
const bufferedBytesMax = 256 * 1024;
const unauthorized = 4401;
const policyViolation = 1008; // RFC 6455, 7.4.1

/** Errors and pongs wait for no room, and Bun itself would hold 16 MiB of them: it closes a socket that reads neither. */
export const socketBounds = {
  maxPayloadLength: bodyBytesMax,
  backpressureLimit: 4 * bufferedBytesMax,
  closeOnBackpressureLimit: true,
};
/** In a row: who sends them does not listen, and each costs as much as a frame that makes sense. */
const refusedMax = 100;
const timerMsMax = 2 ** 31 - 1; // a timer set to more goes off at once

export const sockets = (services: Services) => {
  const connections = new Map<string, Connection>();
  return new Elysia({ prefix: sitePrefix })
    .derive(({ request, server, headers }) => ({
      from: {
        address: addressOf(request, server, services.config.instance.trustedProxies),
        acceptLanguage: headers["accept-language"],
        traceOf: (requestId: string) => traceOf(headers, requestId),
      },
    }))
    .ws("/socket", {
      detail: { hide: true }, // OpenAPI has no words for it
      beforeHandle({ params }) {
        tenantOf(services, params.tenant);
      },
      open(ws) {
        const tenant = tenantOf(services, ws.data.params.tenant);
        const connection = new Connection(services, tenant, ws.data.from, ws.raw);
        connections.set(ws.id, connection);
        socketsOpen.inc();
        connection.takePlace({ address: ws.data.from.address });
      },
      message(ws, message) {
        return connections.get(ws.id)?.receive(message);
      },
      drain(ws) {
        connections.get(ws.id)?.drained();
      },
      close(ws) {
        connections.get(ws.id)?.leave();
        if (connections.delete(ws.id)) socketsOpen.dec();
      },
    });
};

/** `traceOf`: what a frame is known by; all of a socket's share the trace context of its upgrade request. */
type From = {
  address: string;
  acceptLanguage: string | undefined;
  traceOf: (requestId: string) => Trace;
};

type Raw = {
  send(text: string): number;
  close(code: number, reason: string): void;
  terminate(): void;
  getBufferedAmount?(): number; // Elysia's type does not know of it
};

class Connection {
  /** Set with the first `auth`; what comes while its token is being checked waits for it. */
  #caller: Promise<Caller> | undefined;
  #userId: string | undefined;
  #refused = 0;
  #gone = new AbortController();
  #drained = Promise.withResolvers<void>();
  /** Until the first `auth`, and then until the token expires. */
  #deadline: Timer;

  constructor(
    readonly services: Services,
    readonly tenant: Tenant,
    readonly from: From,
    readonly raw: Raw,
  ) {
    this.#deadline = setTimeout(() => this.#refuse(), authMs);
  }

  /** Closes the connection where it gets none. */
  takePlace(of: { address: string } | { userId: string }): boolean {
    try {
      this.services.chat.places.take({ tenant: this.tenant, ...of }, this.#gone.signal);
      return true;
    } catch {
      refused.inc({ limit: "connections" });
      this.raw.close(policyViolation, "Too many connections are open");
      return false;
    }
  }

  /** One frame of the client. What is wrong with it is said in a frame, and the connection goes on. */
  async receive(message: unknown): Promise<void> {
    let ref: string | undefined;
    const trace = this.from.traceOf(Bun.randomUUIDv7());
    try {
      const given = jsonOf(message);
      const said = (given as { ref?: unknown } | null)?.ref;
      if (typeof said === "string" && said.length <= refCharsMax) ref = said;
      if (!isFrame(given))
        throw new CipError("invalid_body", { detail: "The frame is none of those known here." });
      if (given.type === "auth") this.#caller = this.#authenticate(given.token);
      const caller = await this.#caller?.catch(() => undefined);
      if (!caller) return this.#refuse();
      if (given.type !== "auth") await this.#serve(caller, given, trace);
      this.#refused = 0;
    } catch (error) {
      if (this.#gone.signal.aborted) return;
      if (++this.#refused > refusedMax) return this.raw.close(policyViolation, "Too many frames are refused");
      const { request_id: requestId } = trace;
      const known = expected(error, "", { tenant_id: this.tenant.id, ...marksOf(trace) });
      const { retryAfterSeconds: retry_after } = known.details; // there are no headers
      this.raw.send(JSON.stringify({ error: { ...document(known, requestId), retry_after }, ref }));
    }
  }

  drained(): void {
    this.#drained.resolve();
    this.#drained = Promise.withResolvers();
  }

  /** The reader has gone; its turns go on. */
  leave(): void {
    clearTimeout(this.#deadline);
    this.#gone.abort();
    this.drained();
  }

  /** Throws unauthorized, identity_required or too_many_requests. */
  async #authenticate(token: string): Promise<Caller> {
    const { userId, expiresAt } = await identify(this.services.keys, this.tenant, token);
    if (userId !== this.#userId && !this.takePlace({ userId })) throw new CipError("too_many_requests");
    this.#userId = userId;
    this.#closeAt(expiresAt.getTime());
    return { tenant: this.tenant, whose: userId, address: this.from.address };
  }

  #closeAt(timeMs: number): void {
    clearTimeout(this.#deadline);
    const leftMs = timeMs - Date.now();
    if (this.#gone.signal.aborted) return;
    if (leftMs <= 0) this.#refuse();
    else this.#deadline = setTimeout(() => this.#closeAt(timeMs), Math.min(leftMs, timerMsMax));
  }

  #refuse(): void {
    this.raw.close(unauthorized, "A valid token is needed");
  }

  async #serve(caller: Caller, given: Exclude<Frame, { type: "auth" }>, trace: Trace): Promise<void> {
    const { chat } = this.services;
    const { signal } = this.#gone;
    if (given.type !== "turn") await countRead(this.services, caller);
    if (given.type === "stop") {
      await chat.stop(caller, uuidOf(given.turn_id));
      return;
    }
    if (given.type === "follow") {
      const after = given.after ?? 0;
      const opened = await chat.find(caller, uuidOf(given.turn_id), signal);
      if (opened.answer.ending && after > opened.answer.length) throw new CipError("invalid_cursor");
      return this.#forward(opened, after, given.ref);
    }
    const { idempotency_key: idempotencyKey, ref, type: _type, ...body } = given;
    const visitor = visitorOf(caller, body.user_id);
    const { acceptLanguage } = this.from;
    const circumstances = { detached: false, idempotencyKey, acceptLanguage, trace };
    const question = questionOf(visitor, body, circumstances);
    const opened = await chat.open(visitor, question, signal);
    return this.#forward(opened, 0, ref);
  }

  async #forward(opened: Opened, after: number, ref: string | undefined): Promise<void> {
    const over = beginReading("websocket");
    for await (const { offset, chunk } of follow(opened, opened.answer, after, this.#gone.signal)) {
      // Each of its turns may find room only to see another one take it, so they look again until they have it.
      while (this.#isFull && !this.#gone.signal.aborted) await this.#room();
      this.raw.send(JSON.stringify({ turn_id: opened.id, offset, chunk, ref }));
    }
    over(this.#gone.signal.aborted ? "left" : "whole");
  }

  get #isFull(): boolean {
    return (this.raw.getBufferedAmount?.() ?? 0) > bufferedBytesMax;
  }

  /** Waits until the client has read; gives it up when that takes too long. */
  async #room(): Promise<void> {
    // A close would wait behind what is not read.
    const stalled = setTimeout(() => this.raw.terminate(), stalledSeconds * 1000);
    await this.#drained.promise;
    clearTimeout(stalled);
  }
}

/** Elysia has parsed what looks like JSON to it. Throws invalid_json. */
function jsonOf(message: unknown): unknown {
  return parsed(typeof message === "string" ? message : JSON.stringify(message));
}
