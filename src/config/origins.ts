// Whether an origin is among CSP host-sources, matched as browsers match `frame-ancestors` (CSP 3, section 6.7.2), so
// that one list means the same wherever it is used.

const defaultPort: Record<string, string> = { "http:": "80", "https:": "443" };

/** `sources`: in canonical spelling and without `*`, as the configuration has them. `origin`: as an Origin header has it. */
export function isAmong(sources: readonly string[], origin: string): boolean {
  const url = URL.parse(origin);
  // What is not an origin in its one spelling, as `null` is none, belongs to nobody.
  return url?.origin === origin && sources.some((source) => matches(source, url));
}

function matches(source: string, { protocol, hostname, port }: URL): boolean {
  const [, scheme, wildcard, host = "", sourcePort = ""] =
    /^(https?:)\/\/(\*\.)?([^:/]+)(?::(\d+))?$/.exec(source) ?? [];
  // A site that moves to https stays the site that it was.
  const sameScheme = protocol === scheme || (scheme === "http:" && protocol === "https:");
  const sameHost = wildcard ? hostname.endsWith(`.${host}`) : hostname === host;
  const samePort = sourcePort === port || (port === "" && sourcePort === defaultPort[protocol]);
  return sameScheme && sameHost && samePort;
}
