// Whether another clock is the same as this machine's: tokens, identities and budgets count on it.
import { about, type Result } from "./result.ts";

/** What a slow connection may take from the measure is less. */
const apartMsMax = 2_000;

/** `here`: this machine's time, half way between asking and hearing. */
export function clock(what: string, there: number, here: number): Result {
  const seconds = ((there - here) / 1000).toFixed(1);
  return Math.abs(there - here) <= apartMsMax
    ? about(what).ok("the same as this machine's, within 2 s")
    : about(what).warn(
        `${Math.abs(Number(seconds))} s ${there > here ? "ahead of" : "behind"} this machine's`,
        "have both set by NTP; tokens and identities end by the clock",
      );
}
