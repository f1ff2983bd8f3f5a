// Links to what is not a page of the web: scripts, data and other programs, in every spelling.
import { evil, type Payload, run } from "./payload.ts";

/** The same address in Markdown's ways of writing a link. */
const link = (address: string) =>
  `[go](${address}) [so](<${address}>) <${address}> [ref]\n\n[ref]: ${address}`;
/** … and in that of HTML. */
const anchor = (address: string) => `<a href="${address}">go</a>`;

export const addresses: readonly Payload[] = [
  ["javascript", link(`javascript:${run}`)],
  ["javascript in mixed case", link(`JaVaScRiPt:${run}`)],
  ["javascript with a comment", link(`javascript://evil.example/%0a${run}`)],
  ["javascript after a letter that vanishes", link(`\u0001javascript:${run}`)],
  ["javascript after zero width", link(`\u200bjavascript:${run}`)],
  ["javascript after a byte order mark", link(`\ufeffjavascript:${run}`)],
  ["javascript with a soft hyphen", link(`java\u00adscript:${run}`)],
  ["javascript with a direction inside", link(`java\u202escript:${run}`)],
  ["javascript between isolates", link(`\u2066javascript:${run}\u2069`)],
  ["javascript with a fullwidth colon", link(`javascript\uff1a${run}`)],
  ["javascript in fullwidth letters", link(`\uff4aavascript:${run}`)],
  ["javascript with a long s", link(`java\u017fcript:${run}`)],
  ["javascript with a Kelvin sign", link(`\u212aavascript:${run}`)],
  ["javascript with a tab", link(`java\tscript:${run}`)],
  ["javascript with a null", link(`java\0script:${run}`)],
  ["javascript with a delete", link(`java\x7fscript:${run}`)],
  ["javascript over lines", `[go](java\nscript:${run}) [so](<java\nscript:${run}>)`],
  ["javascript with a carriage return", `[go](java\rscript:${run})`],
  ["javascript in decimal entities", link(`&#106;&#97;vascript:${run}`)],
  ["javascript in long decimal entities", link(`&#0000106avascript:${run}`)],
  ["javascript in hexadecimal entities", link(`&#x6A;avascript&#x3a;${run}`)],
  ["javascript with a colon by name", link(`javascript&colon;${run}`)],
  ["javascript with a tab and a line by name", link(`java&Tab;scr&NewLine;ipt:${run}`)],
  ["javascript escaped for an address", link(`%6aavascript:${run}`)],
  ["javascript escaped twice", link(`javascript%253a${run}`)],
  ["javascript with backslashes", link(`javascript\\:${run}`)],
  ["javascript that begins with a backslash", link(`\\javascript:${run}`)],
  ["javascript in HTML", anchor(`javascript:${run}`)],
  ["javascript in HTML after spaces", anchor(` \n\t javascript:${run}`)],
  ["javascript in HTML with entities", anchor(`&#1;java&#x0a;script&colon;${run}`)],
  ["javascript in HTML without quotes", `<a href=javascript:${run}>go</a>`],
  ["javascript in an XLink", `<svg><a xlink:href="javascript:${run}"><text y=9>go</text></a></svg>`],
  [
    "javascript in a map",
    `<map name=m><area shape=default href="javascript:${run}"></map><img usemap=#m src=x>`,
  ],
  ["javascript in a title", `[go](https://good.example "javascript:${run}")`],
  [
    "javascript after a good link",
    `[go](https://good.example)(javascript:${run}) [so](https://good.example javascript:${run})`,
  ],
  ["javascript behind view-source", link(`view-source:javascript:${run}`)],
  ["javascript behind feed", link(`feed:javascript:${run}`)],
  ["javascript behind jar", link(`jar:javascript:${run}!/`)],
  ["javascript behind a blob", link(`blob:javascript:${run}`)],
  ["mocha and livescript", link(`livescript:${run}`) + link(`mocha:${run}`)],
  ["vbscript", link(`vbscript:msgbox(1)`) + anchor("VBScript:x")],
  ["a page of data", link(`data:text/html,<script>${run}</script>`)],
  ["a page of base64", link("data:text/html;base64,PHNjcmlwdD5yYW4oKTwvc2NyaXB0Pg==")],
  ["a drawing of data", link(`data:image/svg+xml,<svg/onload=${run}>`)],
  ["data in mixed case", link("DaTa:TEXT/HTML;charset=utf-16,%3Cscript%3E")],
  ["a blob", link("blob:https://evil.example/0192f0c4-0000-7000-8000-000000000000")],
  ["a file system", link("filesystem:https://evil.example/temporary/x.html")],
  ["an intent", link("intent://evil.example/#Intent;scheme=https;package=evil;end")],
  ["a file", link("file:///etc/passwd") + link("\\\\evil.example\\share")],
  [
    "programs",
    link("ms-word:ofe|u|https://evil.example/x.docm") +
      link("search-ms:query=x&crumb=location:\\\\evil.example"),
  ],
  [
    "more programs",
    link("tel:+100") + link("sms:1") + link("facetime:x") + link("slack://open") + link("steam://run/1"),
  ],
  [
    "the browser's own pages",
    link("about:blank") + link("chrome://settings") + link("res://x") + link("resource://x"),
  ],
  [
    "other protocols",
    link("ftp://evil.example/x") + link("ws://evil.example") + link("gopher://evil.example"),
  ],
  [
    "places on this server",
    link("/v1/default/visitors") + link("?x") + link("#box") + link("../") + link("."),
  ],
  [
    "no scheme",
    link("//evil.example/x") + link("\\\\evil.example/x") + link("/\\evil.example") + link("///evil.example"),
  ],
  ["a scheme without slashes", link("https:evil.example") + link("https:/evil.example") + link("http:evil")],
  [
    "addresses that are none",
    link("https://") + link("https://[::1") + link("https://a b") + link("https://%00") + link("mailto:"),
  ],
  [
    "a ping and a download",
    `<a href="https://good.example" ping="${evil}/ping" download="x.exe" target="_self">go</a>`,
  ],
  [
    "an opener",
    `<a href="${evil}" target=_blank rel=opener>go</a> <a href="${evil}" target=_top rel="">go</a>`,
  ],
];
