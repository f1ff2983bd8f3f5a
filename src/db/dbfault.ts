// What is at fault when the database fails: the statement, want of room, or the connection. And a deadline for all of it.

class Overdue extends Error {}

/** The server ends a slow statement by itself; this is for a server that is gone without a word. */
export async function within<T>(done: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Overdue(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([done, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What is at fault where it is not the statement itself. `busy`: overtime or no room, the connection is fine. `lost`:
 * the connection, or a server that goes down or may not write. Codes: PostgreSQL's appendix A, and those of sockets.
 */
export function faultOf(error: unknown): "busy" | "lost" | undefined {
  if (error instanceof Overdue) return "lost";
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code !== "string") return undefined;
  if (code === "57014" || /^53/.test(code)) return "busy";
  if (isDisconnection(error) || /^(08|57)/.test(code) || code === "25006") return "lost";
  return undefined;
}

/** The connection is closed, or is being closed: the server says FATAL with whatever it closes one for. */
export function isDisconnection(error: unknown): boolean {
  const { code, severity, severity_local } = (error ?? {}) as Record<string, unknown>;
  if (severity ?? severity_local) return /^(FATAL|PANIC)$/.test(String(severity ?? severity_local));
  return /^(CONNECT|ECONN|ENOTFOUND|ETIMEDOUT|EPIPE|EAI_|ENOENT)/.test(String(code));
}
