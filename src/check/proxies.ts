// Finds out by /healthz/probe what the proxies in between do: do they hold a stream back, how many add to
// X-Forwarded-For, and can a visitor choose his own address?
import { isIPv4 } from "node:net";
import type { Instance } from "../config/config.ts";
import { marker } from "../identity/address.ts";
import { clock } from "./clock.ts";
import { about, type Result, wordsOf } from "./result.ts";
import { type Answer, visit } from "./visit.ts";

/** One more than TRUSTED_PROXIES can be, so that what the proxies add can be told from what was sent. */
const sent = 11;
/** The probe sends three events over 600 ms. */
const streamedMs = 250;
const tries = 2;

type Settings = Pick<Instance, "publicUrl" | "trustedProxies">;
type Seen = { time: string; version: string; address: string; forwarded_for: number };

export async function* proxies(url: URL, version: string, instance: Settings): AsyncGenerator<Result> {
  let answer: Answer | undefined;
  try {
    // A busy machine may well deliver late what was not held back.
    for (let tried = 0; tried < tries && !streamed(answer); tried++)
      answer = await visit(new URL("/healthz/probe", url), {
        "x-forwarded-for": Array(sent).fill(marker).join(", "),
      });
  } catch (error) {
    return yield about("streaming").fail(wordsOf(error), "see the log of the proxy");
  }
  const seen = seenIn(answer?.text ?? "");
  if (answer?.status !== 200 || !seen)
    return yield about("streaming").fail(
      `GET /healthz/probe is answered ${answer?.status}`,
      "see that all paths reach cip, and that it is of this version",
    );
  yield seen.version === version
    ? about("version").ok(`cip ${seen.version}`)
    : about("version").warn(`the server is cip ${seen.version}, this is ${version}`, "restart the server");
  yield streamed(answer)
    ? about("streaming").ok("events arrive as they are sent")
    : about("streaming").fail(
        "events are held back and arrive together",
        "turn off buffering in the proxy (nginx: proxy_buffering off; and no compression of event streams)",
      );
  yield hops(seen, instance);
  yield clock("server clock", Date.parse(seen.time), answer.sentAt + answer.tookMs / 2);
}

function streamed(answer: Answer | undefined): boolean {
  return (answer?.arrivals.at(-1) ?? 0) >= streamedMs;
}

function seenIn(text: string): Seen | undefined {
  const [, json = ""] = /^data: (.*)$/m.exec(text) ?? [];
  try {
    return JSON.parse(json) as Seen;
  } catch {
    return undefined;
  }
}

function hops(
  { address, forwarded_for: entries }: Seen,
  { publicUrl, trustedProxies: trusted }: Settings,
): Result {
  const { ok, warn, fail, unseen } = about("forwarded for");
  // A first proxy that believes nobody begins the list anew.
  const added = entries >= sent ? entries - sent : entries;
  const proxies = `${added} ${added === 1 ? "proxy adds" : "proxies add"} to X-Forwarded-For`;
  if (publicUrl === undefined && added < trusted)
    return unseen("this went past the proxies; set PUBLIC_URL, and it goes through them and counts them");
  const remedy = `set TRUSTED_PROXIES=${added} and restart the server`;
  if (isIPv4(address) && address === marker)
    return fail(`${proxies}, and a visitor can choose the address that he counts as`, remedy);
  if (added > trusted)
    return fail(
      `${proxies}, TRUSTED_PROXIES is ${trusted}: all visitors count as one address, ${address}`,
      remedy,
    );
  if (added < trusted)
    return warn(
      `${proxies}, TRUSTED_PROXIES is ${trusted}: who gets past one of them can choose his address`,
      remedy,
    );
  return ok(`${proxies}, as TRUSTED_PROXIES says; this machine counts as ${address}`);
}
