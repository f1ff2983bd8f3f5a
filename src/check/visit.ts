// One request as a browser would make it: past no cache and no proxy of this machine's, following nothing, and by
// certificates that do not hold, too, which are a finding of their own.
import { get as getPlain, type IncomingHttpHeaders } from "node:http";
import { get as getSecure } from "node:https";

/** `arrivals`: when each piece of the body came, in ms since the first. `tookMs`: until the head was there. */
export type Answer = {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  arrivals: number[];
  sentAt: number;
  tookMs: number;
};

const timeoutMs = 10_000;
/** Nothing that is asked for here is longer. */
const charsMax = 1_000_000;

/** Throws where there is no answer. */
export function visit(url: URL, headers: Record<string, string> = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sentAt = Date.now();
  const began = performance.now();
  const options = {
    headers,
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    rejectUnauthorized: false,
  } as const;
  const get = url.protocol === "https:" ? getSecure : getPlain;
  get(url, options, (response) => {
    const tookMs = performance.now() - began;
    const arrivals: number[] = [];
    let text = "";
    let firstAt = 0;
    response.setEncoding("utf8");
    response.on("data", (piece: string) => {
      if (text.length > charsMax) return void response.destroy(new Error("the answer is longer than 1 MB"));
      firstAt ||= performance.now();
      arrivals.push(performance.now() - firstAt);
      text += piece;
    });
    response.on("error", reject);
    response.on("end", () => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        arrivals,
        sentAt,
        tookMs,
      });
    });
  }).on("error", reject);
  return promise;
}
