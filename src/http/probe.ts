// GET /healthz/probe: what `cip check --live` learns of the proxies in between. It tells a caller nothing but his own
// address as it is seen here, and is over within a second.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import pkg from "../../package.json" with { type: "json" };
import { CipError } from "../errors.ts";
import { addressOf, forwardedFor } from "../identity/address.ts";
import { open } from "./documented.ts";
import type { Services } from "./services.ts";

const events = 3;
const pauseMs = 300;
/** Each takes a timer and a connection, and one check needs one. */
const atOnceMax = 20;
const encoder = new TextEncoder();

const headers = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};

export const probe = ({ config }: Services) => {
  let running = 0;
  return new Elysia().get(
    "/healthz/probe",
    ({ request, server }) => {
      if (running >= atOnceMax) throw new CipError("too_many_requests", { retryAfterSeconds: 1 });
      const seen = {
        time: new Date().toISOString(),
        version: pkg.version,
        address: addressOf(request, server, config.instance.trustedProxies),
        forwarded_for: forwardedFor(request).length,
      };
      running += 1;
      return new Response(
        apart(seen, () => running--),
        { headers },
      );
    },
    open(
      "What proxies in between do: three events, 300 ms apart",
      {
        200: [
          "The time, the version, the caller's address as it counts here, the entries of X-Forwarded-For",
          { "text/event-stream": Type.String() },
        ],
      },
      ["too_many_requests"],
    ),
  );
};

function apart(seen: object, over: () => unknown): ReadableStream<Uint8Array> {
  let sent = 0;
  let timer: Timer;
  return new ReadableStream({
    start(controller) {
      const send = () => {
        sent += 1;
        controller.enqueue(encoder.encode(`data: ${JSON.stringify({ ...seen, event: sent })}\n\n`));
        if (sent < events) return;
        clearInterval(timer);
        controller.close();
        over();
      };
      timer = setInterval(send, pauseMs);
      send();
    },
    cancel() {
      clearInterval(timer);
      over();
    },
  });
}
