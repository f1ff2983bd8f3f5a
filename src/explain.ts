// What went wrong at the start, in words that a person can act on, and without a secret in them.
import { ConfigError } from "./config/config.ts";
import { firstHostOnly } from "./config/values.ts";
import { DataDirError } from "./db/datadir.ts";
import { IsolationError } from "./db/isolation.ts";

/** The database could not be made ready; `cause` is why. `url` is undefined for the embedded one. */
export class DatabaseStartError extends Error {
  override readonly name = "DatabaseStartError";

  constructor(
    readonly url: string | undefined,
    options: { cause: unknown },
  ) {
    super("the database could not be made ready", options);
  }
}

/** `what`: what could not be done. */
export function explain(error: unknown, what = "Could not start"): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof DataDirError) return withCause(error.message, error.cause);
  if (error instanceof DatabaseStartError) return explainDatabase(error);
  const listens = (error as { syscall?: unknown } | null)?.syscall === "listen";
  if (listens && codeOf(error) === "EADDRINUSE")
    return "The port is in use. Stop what uses it, or set another PORT.";
  if (listens && codeOf(error) === "EACCES")
    return "The port needs more rights than this user has. Set a PORT above 1023.";
  return withCause(what, error);
}

function explainDatabase({ url, cause }: DatabaseStartError): string {
  if (cause instanceof IsolationError) return cause.message;
  if (url === undefined) return withCause("The embedded database could not be made ready", cause);
  const { name, user, host } = databaseAt(url);
  const where = `The database ${name} at ${host}`;
  const error = rootOf(cause);
  const code = codeOf(error);
  if (code === "28P01" || code === "28000")
    return `${where} does not accept the user ${user} with that password. Check DATABASE_URL.`;
  if (code === "3D000") return `${where} does not exist. Create it, or check DATABASE_URL.`;
  if (code === "42501") {
    return [
      `${where} does not let ${user} do what cip needs: ${messageOf(error)}. As a superuser, run:`,
      `  alter role "${user}" createrole;`,
      `  grant create, connect on database "${name}" to "${user}";`,
      `  grant create, usage on schema public to "${user}";`,
      `  grant cip_app to "${user}"; -- where cip_app is there already`,
    ].join("\n");
  }
  return `${where} cannot be reached or used: ${messageOf(error)}. Check DATABASE_URL and that the database runs.`;
}

/** What may be shown of a database's address: no password, and of several hosts the first. */
export function databaseAt(url: string): { name: string; user: string; host: string } {
  const { hostname, port, pathname, username } = new URL(firstHostOnly(url));
  const user = decodeURIComponent(username);
  return { name: decodeURIComponent(pathname.slice(1)) || user, user, host: `${hostname}:${port || 5432}` };
}

function withCause(message: string, cause: unknown): string {
  return cause === undefined ? message : `${message}: ${messageOf(rootOf(cause))}`;
}

function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error;
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message || codeOf(error) : undefined) ?? "an unknown error";
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
