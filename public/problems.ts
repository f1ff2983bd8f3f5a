// From a refusal or a failure to a sentence for the visitor: what is so, and what can be done about it.

import type { Ending } from "./stream.ts";
import { type StringKey, t } from "./strings.ts";
import { Problem } from "./wire.ts";

// A wait up to this long is said as what it is, a longer one by the time at which it ends.
const countedMostS = 90;

/** Why a message could not be sent. */
export function explain(error: unknown): string {
  if (!(error instanceof Problem)) return t("problem_server");
  const key = keyOf(error);
  const isPassing = error.status === 429 && key !== "problem_message_too_long";
  return isPassing ? again(t(key), error.retryAfterS) : t(key);
}

/** Why it does not go on yet: the visitor asked too often, or the connection is lost, their own or the server's. */
export function lost(error?: unknown): string {
  if (error instanceof Problem && error.status === 429) return t("problem_often");
  return t(navigator.onLine ? "reconnecting" : "offline");
}

/** What this visitor's token does not lead to will not come back. */
export function isGone(error: unknown): boolean {
  if (!(error instanceof Problem) || error.wantsIdentity) return false;
  return error.status === 404 || error.status === 401;
}

function keyOf(problem: Problem): StringKey {
  if (problem.wantsIdentity) return "problem_identity";
  if (problem.status === 0) return navigator.onLine ? "problem_unreachable" : "problem_offline";
  if (problem.status === 409) return "problem_busy";
  if (problem.code === "too_many_runs") return "problem_runs";
  // What a whole day's tokens are not enough for, no later day will take.
  if (problem.code === "budget_exhausted" && problem.retryAfterS) return "problem_budget";
  if (problem.code === "budget_exhausted") return "problem_message_too_long";
  if (problem.status === 429) return "problem_often";
  if (problem.status === 413 || problem.code === "message_too_long") return "problem_message_too_long";
  return problem.status >= 500 ? "problem_server" : "problem_refused";
}

/** When to come back: in so many seconds, or from which time on. */
function again(problem: string, seconds: number | undefined): string {
  if (seconds === undefined) return t("again_soon", { problem });
  const { lang } = document.documentElement;
  if (seconds <= countedMostS)
    return t("again_in", {
      problem,
      when: new Intl.RelativeTimeFormat(lang).format(Math.ceil(seconds), "second"),
    });
  const now = new Date();
  // Rounded up, so that it is not too early even within the minute that is shown.
  const then = new Date(now.getTime() + seconds * 1000 + 59_999);
  const day = then.toDateString() === now.toDateString() ? {} : { weekday: "long" as const };
  const time = new Intl.DateTimeFormat(lang, { ...day, hour: "numeric", minute: "2-digit" });
  return t("again_at", { problem, when: time.format(then) });
}

/** What is to be said under an answer; nothing under one that ended as it should. */
export function remark({ status, code, finishReason }: Ending): string | undefined {
  if (status === "stopped") return t("note_stopped");
  if (status === "interrupted") return t("note_interrupted");
  if (status === "failed") {
    if (code === "model_overloaded") return t("note_overloaded");
    return t(code === "model_timeout" ? "note_timeout" : "note_failed");
  }
  if (finishReason === "length") return t("note_cut_off");
  return finishReason === "content-filter" ? t("note_filtered") : undefined;
}
