// How the text of a setting becomes a value; a refusal says what is wanted and never repeats the text.
import { createHash } from "node:crypto";
import { Secret } from "./secret.ts";

/** Why a text is refused, worded to follow the setting's name: "PORT must be …". */
export class Wrong {
  constructor(readonly remedy: string) {}
}

export type Parse<T> = (text: string) => T | Wrong;

export function integer(min: number, max: number): Parse<number> {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : new Wrong(`must be a whole number from ${min} to ${max}`);
  };
}

export function decimal(min: number, max: number): Parse<number> {
  return (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : new Wrong(`must be a number from ${min} to ${max}`);
  };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Parse<T> {
  return (text) => choices.find((choice) => choice === text) ?? new Wrong(`must be ${choices.join(" or ")}`);
}

/** Text that may span lines. */
export function text(charsMax: number): Parse<string> {
  return (text) => (text.length <= charsMax ? text : new Wrong(`must have at most ${charsMax} characters`));
}

/** Text on one line; more than one is nearly always a quotation mark that was never closed. */
export function line(charsMax: number): Parse<string> {
  const bounded = text(charsMax);
  return (text) =>
    /\p{Cc}/u.test(text)
      ? new Wrong("must be one line without control characters; is a quotation mark left open?")
      : bounded(text);
}

/** What `parse` accepts, kept so that it cannot be printed. */
export function secret(parse: Parse<string>): Parse<Secret> {
  return (text) => {
    const value = parse(text);
    return value instanceof Wrong ? value : new Secret(value);
  };
}

/** Text to sign with: any bytes, but enough of them for HMAC-SHA-256 (RFC 7518, section 3.2). */
export function signingKey(bytesMin: number): Parse<string> {
  return (text) =>
    Buffer.byteLength(text) >= bytesMin
      ? text
      : new Wrong(`must have at least ${bytesMin} bytes, as \`openssl rand -base64 48\` prints`);
}

/** What can travel in an `Authorization: Bearer` header. */
export function bearer(text: string): string | Wrong {
  return /^[\x21-\x7e]+$/.test(text) ? text : new Wrong("must be visible ASCII characters without spaces");
}

/** One that opens something by itself, so it must not be guessed. */
export function bearerToken(text: string): string | Wrong {
  const long = signingKey(16)(text);
  return long instanceof Wrong ? long : bearer(text);
}

/** Keys by comma or whitespace, each as it is or as `sha256:` and 64 hex digits; only their SHA-256 is kept, in small hex. */
export function apiKeys(text: string): readonly Secret[] | Wrong {
  const keys = text.split(/[\s,]+/).filter(Boolean);
  const hashes = keys.map((key) => {
    const [, hash] = /^sha256:([0-9a-f]{64})$/i.exec(key) ?? [];
    if (hash) return hash.toLowerCase();
    const isKey = /^(?!sha256:)[\x21-\x7e]{32,}$/i.test(key);
    return isKey ? createHash("sha256").update(key).digest("hex") : undefined;
  });
  const wrong = hashes.indexOf(undefined);
  if (wrong === -1) return hashes.map((hash) => new Secret(hash as string));
  return new Wrong(
    `must list keys of at least 32 visible ASCII characters, or their sha256:<64 hex digits>; entry ${wrong + 1} is neither`,
  );
}

/** At most `count` in any `periodMs`, all of them at once if it comes to that. */
export type Rate = { count: number; periodMs: number };

/** `20/1m`. */
export function rate(text: string): Rate | Wrong {
  const [, count = "", period = ""] = /^(\d{1,7})\/(\w+)$/.exec(text) ?? [];
  const periodMs = duration(period);
  return Number(count) >= 1 && !(periodMs instanceof Wrong) && periodMs <= 86_400_000
    ? { count: Number(count), periodMs }
    : new Wrong("must be a number, a slash and a time of up to 1d, as 20/1m");
}

/** What `parse` accepts, or `off`, which is no bound: null. */
export function orOff<T>(parse: Parse<T>): Parse<T | null> {
  return (text) => {
    const value = text === "off" ? null : parse(text);
    return value instanceof Wrong ? new Wrong(`${value.remedy}, or off`) : value;
  };
}

export function host(text: string): string | Wrong {
  return /^[\w.:-]+$/.test(text)
    ? text
    : new Wrong("must be an address or host name, as 0.0.0.0 or localhost");
}

/** Base address of an API, without a slash at its end; paths are appended to it, so nothing may follow it. */
export function apiUrl(text: string): string | Wrong {
  const url = URL.parse(text);
  if (!url || !/^https?:\/\//i.test(text))
    return new Wrong("must begin with https:// or http:// and name a host");
  if (url.username || url.password)
    return new Wrong("must not carry a user or password; use the API key setting");
  if (/[?#]/.test(text)) return new Wrong("must end with its path, without ? or #");
  return url.href.replace(/\/+$/, "");
}

/** Where visitors reach this server: scheme, host and port. */
export function origin(text: string): string | Wrong {
  const url = URL.parse(text);
  return url && /^https?:\/\/[^/?#@]+\/?$/i.test(text)
    ? url.origin
    : new Wrong("must be an address without a path, as https://chat.example");
}

export function postgresUrl(text: string): string | Wrong {
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(firstHostOnly(text)) && decodes(text)
    ? text
    : new Wrong("must be postgres://user:password@host:5432/database, special characters percent-encoded");
}

/** The driver takes several hosts with commas between them, which the URL standard does not know. */
export function firstHostOnly(databaseUrl: string): string {
  return databaseUrl.replace(/,[^/?@]*(?=[/?]|$)/, "");
}

function decodes(text: string): boolean {
  try {
    return decodeURIComponent(text) !== "";
  } catch {
    return false;
  }
}

export function jsonObject(text: string): Record<string, unknown> | Wrong {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Not JSON gets the same answer as JSON that is no object.
  }
  return new Wrong('must be a JSON object, as {"top_k": 20}');
}

/** A length of time such as `90d`, in milliseconds. */
export function duration(text: string): number | Wrong {
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * unitMs[unit as keyof typeof unitMs];
  return ms >= unitMs.s && ms <= 3650 * unitMs.d
    ? ms
    : new Wrong("must be a number with s, m, h or d, as 12h, from 1s to 3650d");
}

/** A BCP 47 language tag, in its canonical spelling. What may follow the region is free text, and goes: models read it. */
export function language(text: string): string | Wrong {
  try {
    const { language, script, region } = new Intl.Locale(text);
    return [language, script, region].filter(Boolean).join("-");
  } catch {
    return new Wrong("must be a BCP 47 language tag, as en, pt-BR or zh-Hant");
  }
}

/** A colour in three or six hex digits, as `#rrggbb`. The `#` may stay out, for in a file it would begin a comment. */
export function colour(text: string): string | Wrong {
  const [, digits] = /^#?([0-9a-f]{6}|[0-9a-f]{3})$/i.exec(text) ?? [];
  if (!digits) return new Wrong("must be a colour as 2456d6");
  return `#${digits.length === 3 ? digits.replace(/./g, "$&$&") : digits}`.toLowerCase();
}

/** Short texts, one a line or with `|` between them. */
export function list(itemsMax: number, charsMax: number): Parse<readonly string[]> {
  return (text) => {
    const items = text.split(/[|\n]/).map((item) => item.trim());
    const shown = items.filter(Boolean);
    return shown.length <= itemsMax && shown.every((item) => item.length <= charsMax)
      ? shown
      : new Wrong(`must be at most ${itemsMax} texts of ${charsMax} characters, with | between them`);
  };
}

/** Origins by comma or whitespace, each a CSP host-source (CSP 3, section 2.3.1), or `*` alone. */
export function origins(text: string): readonly string[] | Wrong {
  const entries = text.split(/[\s,]+/).filter(Boolean);
  if (entries.length === 1 && entries[0] === "*") return ["*"];
  const sources = entries.map(hostSource);
  const wrong = sources.indexOf(undefined);
  if (wrong === -1) return [...new Set(sources as string[])];
  return new Wrong(
    `must list origins as https://shop.example or https://*.shop.example, without paths, or be * alone; entry ${wrong + 1} is none`,
  );
}

function hostSource(entry: string): string | undefined {
  const [, scheme, wildcard = "", rest] = /^(https?:\/\/)(\*\.)?([^/?#@\\]+)$/i.exec(entry) ?? [];
  const url = URL.parse(`${scheme}${rest}`);
  // `*.com` would be anybody; of suffixes with a dot in them, as co.uk, nobody knows without a list.
  if (url && wildcard && !/^localhost$|\.[a-z][^.]*$/.test(url.hostname)) return undefined;
  // A URL's host may hold `;` and quotes; in a Content-Security-Policy header they would begin something else.
  return url && /^[a-z0-9.-]+(:\d+)?$/.test(url.host) ? `${url.protocol}//${wildcard}${url.host}` : undefined;
}
