// What an answer that does not begin is waiting for, in words: the server knows whether it waits in line.

import type { Api } from "./api.ts";
import { t } from "./strings.ts";
import type { TurnView } from "./view.ts";

// An answer that begins sooner needs no explanation.
const patientMs = 3_000;
const againMs = 5_000;

/** Goes on until `signal` is aborted, as it is by the first word. */
export function explainWaiting(api: Api, view: TurnView, signal: AbortSignal) {
  let timer = setTimeout(look, patientMs);
  signal.addEventListener("abort", () => clearTimeout(timer));

  async function look() {
    const words = await reason();
    if (signal.aborted) return;
    view.waitFor(words);
    timer = setTimeout(look, againMs);
  }

  async function reason(): Promise<string> {
    if (view.id === undefined) return t("waiting_for_server");
    const turn = await api.turn(view.id).catch(() => undefined);
    return t(turn?.status === "queued" ? "waiting_in_line" : "waiting_for_model");
  }
}
