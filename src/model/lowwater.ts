// The low-water mark of a socket (SO_RCVLOWAT, socket(7)): while fewer bytes than that have come, the kernel does not say
// that there is something to read; a closed connection it always tells of. Bun has no call for it, so it is libc's, by
// bun:ffi, which is loaded when it is first needed: most servers never are so busy.
import { existsSync } from "node:fs";
import { log } from "../log.ts";

type Set = (fd: number, bytes: number) => void;

const solSocket = 1;
const soRcvlowat = 18;
/** Where the C library is musl, as on Alpine, it has no other name. */
const musl = `/lib/libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;

let isAsked = false;
let set: Set | undefined;

/** True soon after it was first asked; on other systems than Linux never, and each piece is read as it comes. */
export function canSetLowWater(): boolean {
  if (!isAsked)
    load().catch((error: unknown) => log.info({ err: error }, "no low-water marks on this system"));
  isAsked = true;
  return set !== undefined;
}

/** With fewer bytes than that there is nothing to read; with 1, as at first, any are something. */
export function setLowWater(socket: Bun.Socket<unknown>, bytes: number): void {
  const { fd } = socket as unknown as { fd: number }; // which Bun's types do not know; of a closed one it is -1
  set?.(fd, bytes);
}

async function load(): Promise<void> {
  if (process.platform !== "linux") return;
  const { dlopen, ptr } = await import("bun:ffi");
  const open = (name: string) =>
    dlopen(name, { setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" } });
  const { symbols: libc } = existsSync(musl) ? open(musl) : open("libc.so.6");
  const value = new Int32Array(1);
  set = (fd, bytes) => {
    value[0] = bytes;
    libc.setsockopt(fd, solSocket, soRcvlowat, ptr(value), value.byteLength); // its memory may have been moved: `ptr` anew
  };
}
