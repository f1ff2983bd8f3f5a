// From a refusal or a failure to a sentence for the visitor: what is so, and what can be done about it.

import { Problem } from "./api.ts";
import type { Ending } from "./stream.ts";
import { type StringKey, t } from "./strings.ts";

/** Why a message could not be sent. */
export function explain(error: unknown): string {
  return t(error instanceof Problem ? keyOf(error) : "problem_server");
}

function keyOf(problem: Problem): StringKey {
  if (problem.status === 0) return "problem_unreachable";
  if (problem.status === 409) return "problem_busy";
  if (problem.status === 429) return "problem_often";
  if (problem.status === 413 || problem.code === "message_too_long") return "problem_message_too_long";
  return problem.status >= 500 ? "problem_server" : "problem_refused";
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
