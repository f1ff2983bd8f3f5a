// Whether there is a terminal: SIGHUP is the operator's word to read the settings anew, and it is also what comes when
// the window is closed that cip was started in.
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
