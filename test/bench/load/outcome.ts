// What a measurement came to: every answer compared, every token's way timed.
import { percentile } from "../stats.ts";
import { readBack } from "./check.ts";
import type { Model } from "./model.ts";
import type { Readers } from "./reader.ts";
import type { Plan } from "./run.ts";
import { expected } from "./script.ts";
import type { Window } from "./window.ts";

export type Distribution = { p50: number; p99: number; max: number };

export type Outcome = {
  answers: number;
  ended: number;
  /** Tokens that arrived within the window, and how long that was. */
  tokens: number;
  windowMs: number;
  totalMs: number;
  /** From the question to the first token. */
  firstMs: Distribution;
  /** Between two arrivals of text at one reader, within the window. */
  gapMs: Distribution;
  /** From the model's send to the reader's receive, of tokens sent within the window. */
  delayMs: Distribution;
  /** The share of them that took longer than 40 ms. */
  delayed: number;
  /** How late the model was with a token that was due, at worst. */
  modelLateMs: number;
  /** CPU within the window, µs; and memory at its end. */
  loadCpuUs: number;
  systemCpuUs: number;
  systemRssKb: number;
  databaseCpuUs: number;
  /** What was wrong with the text of answers: the run does not count. */
  wrong: string[];
  /** Answers that were refused or ended before their time, and examples. */
  brokenCount: number;
  broken: string[];
};

/** As many examples of what went wrong, and as much of each. */
const shownMax = 3;
const shown = ({ length }: { length: number }) => Math.min(600, length);

export function outcome(
  plan: Plan,
  model: Model,
  readers: Readers,
  window: Window,
  startedAt: number,
): Outcome {
  const first: number[] = [];
  const gaps: number[] = [];
  const delays: number[] = [];
  const wrong: string[] = [];
  const broken: string[] = [];
  const counts = (at: number) => at >= window.from && at <= window.to;
  let tokens = 0;
  for (const response of readers.responses) {
    const wanted = expected(response.n, plan.tokens);
    const { text, arrivedAt, textAt, status } = readBack(response, wanted);
    const whole = wanted.join("");
    if (!whole.startsWith(text)) wrong.push(`answer ${response.n} ${difference(text, whole)}`);
    else if (response.ended && text !== whole)
      broken.push(
        `answer ${response.n}, status ${status}: ${response.bytes.toString("utf8", 0, shown(response))}`,
      );
    if (textAt[0] !== undefined) first.push(textAt[0] - response.askedAt);
    for (let i = 1; i < textAt.length; i++) {
      const at = textAt[i] as number;
      if (counts(at)) gaps.push(at - (textAt[i - 1] as number));
    }
    const sentAt = model.sentAt[response.n] ?? [];
    for (const [i, at] of arrivedAt.entries()) {
      if (counts(at)) tokens++;
      const sent = sentAt[i] ?? Number.NaN;
      if (counts(sent)) delays.push(at - sent);
    }
  }
  return {
    answers: plan.requests.length,
    ended: readers.endedCount,
    tokens,
    windowMs: window.to - window.from,
    totalMs: window.to - startedAt,
    firstMs: distribution(first),
    gapMs: distribution(gaps),
    delayMs: distribution(delays),
    delayed: delays.filter((ms) => ms > 40).length / delays.length,
    modelLateMs: model.lateMs,
    loadCpuUs: window.load,
    systemCpuUs: window.system.cpuUs,
    systemRssKb: window.system.rssKb,
    databaseCpuUs: window.database.cpuUs,
    wrong: wrong.slice(0, shownMax),
    brokenCount: broken.length,
    broken: broken.slice(0, shownMax),
  };
}

function distribution(values: number[]): Distribution {
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: percentile(values, 1) };
}

function difference(text: string, whole: string): string {
  let at = 0;
  while (at < text.length && text[at] === whole[at]) at++;
  const part = (of: string) => JSON.stringify(of.slice(Math.max(0, at - 20), at + 20));
  return `differs at character ${at} of ${whole.length}: ${part(text)} instead of ${part(whole)}`;
}
