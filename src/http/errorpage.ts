// What a browser shows where a page cannot be: a sentence in the visitor's language, and nothing else. It loads nothing
// and holds nothing, so any site may frame it, as one does whose snippet names a chat that is not there.

import { accepted, languageFor } from "../config/languages.ts";
import { type CipError, errors } from "../errors.ts";
import { sourceHash } from "./headers.ts";
import { pathOf } from "./methods.ts";

const style =
  ":root{color-scheme:light dark}" +
  "body{display:grid;place-content:center;min-height:100vh;margin:0;font:16px/1.5 system-ui,sans-serif}" +
  "p{max-width:32ch;margin:24px;text-align:center;text-wrap:balance}";

const headers = {
  "content-type": "text/html; charset=utf-8",
  "cache-control": "no-store",
  "content-security-policy": `default-src 'none'; style-src ${sourceHash(style)}; base-uri 'none'; form-action 'none'; frame-ancestors *`,
  "cross-origin-resource-policy": "cross-origin",
};

/** Whether it is a person who looks, at something that could be a page; programs get a problem document. */
export function wantsPage(request: Request): boolean {
  const pathname = pathOf(request);
  const accept = request.headers.get("accept") ?? "";
  return (
    /^(GET|HEAD)$/.test(request.method) && !pathname.startsWith("/v1/") && /\btext\/html\b/i.test(accept)
  );
}

export function errorPage({ code, details }: CipError, request: Request, requestId: string): Response {
  const [status] = errors[code];
  const wanted = accepted(request.headers.get("accept-language") ?? "");
  const { tag, direction, words } = languageFor(wanted);
  const sentence = status < 500 ? words.absent.missing : words.absent.failed;
  const html = `<!doctype html>
<html lang="${tag}" dir="${direction}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${words.page.title}</title>
<style>${style}</style>
</head>
<body><p>${sentence}</p></body>
</html>
`;
  const retryAfter = details.retryAfterSeconds;
  return new Response(html, {
    status,
    headers: {
      ...headers,
      "x-request-id": requestId,
      ...(retryAfter !== undefined && { "retry-after": String(retryAfter) }),
    },
  });
}
