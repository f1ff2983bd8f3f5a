// What the conversation needs of the page around it, so that it knows nothing of where things stand on it.

import type { PageContext, Turn } from "./api.ts";

export type Surface = {
  log: HTMLElement;
  earlier: HTMLButtonElement;
  busy(busy: boolean): void;
  /** A lasting state, as that of the connection; empty when all is well. */
  status(words: string): void;
  /** Said to a screen reader, and not shown. */
  announce(words: string): void;
  /** A message that was not taken (empty where it is kept elsewhere), and why. */
  refuse(message: string, words: string): void;
  /** The newest turn is to be seen; what had the focus may be gone. */
  begun(): void;
  toEnd(): void;
  hold(change: () => void): void;
  /** Where on the site the visitor is. */
  context(): PageContext | undefined;
  /** A message could not be sent. */
  failed(code: string, words: string): void;
  /** The server has the message. */
  asked(message: string, turnId: string): void;
  answered(turnId: string, status: Turn["status"]): void;
};
