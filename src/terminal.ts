// The terminal. Is there one: SIGHUP is the operator's word to read the settings anew, and it is also what comes when
// the window is closed that cip was started in. And what strangers said must give it no orders.
import { closeSync, openSync } from "node:fs";

/** A terminal that has been closed cannot be opened (`tty(4)`: ENXIO). */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** Control characters but the end of a line as JSON writes them; what others said may hold them. */
export function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The same for a line of JSON that is to be shown decoded. */
export function visibleIn(json: string): string {
  const escaped = json.replace(/\\(?:(u00[01][0-9a-f]|[bfr])|.)/g, (found, order) =>
    order ? `\\${found}` : found,
  );
  return escaped.replace(/[\x7f-\x9f]/g, (char) => `\\\\u00${char.charCodeAt(0).toString(16)}`);
}
