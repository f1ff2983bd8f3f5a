// The headers that every answer carries for safety's sake, in one place: the strictest there are, since what most
// answers hold is data for one reader. Pages and what other sites load say what they need beyond that.

/** For answers that set no such header themselves. */
export function headersOfAll(publicUrl: string | undefined): Readonly<Record<string, string>> {
  return {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": unused.map((feature) => `${feature}=()`).join(", "),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    // Not for subdomains: cip knows its own host only.
    ...(publicUrl?.startsWith("https:") && { "strict-transport-security": "max-age=31536000" }),
  };
}

/** What a chat never asks a browser for. It writes to the clipboard, so that is not among them. */
const unused =
  "accelerometer camera display-capture geolocation gyroscope hid magnetometer microphone midi payment publickey-credentials-get screen-wake-lock serial usb xr-spatial-tracking".split(
    " ",
  );

const page = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
];

/**
 * Of the chat page, which has this style in it. `ancestors`: CSP host-sources that may frame it beside this server
 * itself. No X-Frame-Options: it knows no list, and browsers that know `frame-ancestors` pass it over.
 */
export function chatHeaders(ancestors: readonly string[], style: string): Record<string, string> {
  const framedBy = ancestors.includes("*") ? "*" : ["'self'", ...ancestors].join(" ");
  const styled = page.map((rule) => (rule.startsWith("style-src") ? `${rule} ${sourceHash(style)}` : rule));
  return {
    ...pageHeaders([...styled, `frame-ancestors ${framedBy}`]),
    vary: "accept-language",
    // Together they let a site frame it that is cross-origin isolated, which allows no other frames.
    "cross-origin-resource-policy": "cross-origin",
    "cross-origin-embedder-policy": "require-corp",
  };
}

/** Allows what is written into a page itself, to the letter (CSP 3, section 2.3.1). */
export function sourceHash(source: string): string {
  return `'sha256-${new Bun.CryptoHasher("sha256").update(source).digest("base64")}'`;
}

/** Of the demo site, which frames the chat and is framed by nobody else. */
export const demoHeaders = pageHeaders([...page, "frame-src 'self'", "frame-ancestors 'self'"]);

function pageHeaders(policy: readonly string[]): Record<string, string> {
  return {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-cache",
    "content-security-policy": policy.join("; "),
    // Or the hosts of links in an answer would be looked up before anybody follows them, and that alone can tell.
    "x-dns-prefetch-control": "off",
  };
}

/** Of what pages of other sites load: the loader and what belongs to it. None of it is anybody's secret. */
export const publicHeaders: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "*",
  "cross-origin-resource-policy": "cross-origin",
};
