// Letters that are not what they seem: entities, Unicode's controls and directions, and what terminals obey.
import { evil, type Payload, run } from "./payload.ts";

const image = `img src=x onerror=${run}`;

export const letters: readonly Payload[] = [
  ["a tag in entities", `&lt;${image}&gt; &#60;${image}&#62; &#x3c;${image}&#x3e; &LT;${image}&GT;`],
  ["a tag in entities twice", `&amp;lt;${image}&amp;gt; &amp;#60;${image}&amp;#62;`],
  ["entities without an end", `&lt${image}&gt &#60${image}&#62 &#x3c${image}`],
  ["entities that are none", "&bogus; &#; &#x; &#99999999; &#xD800; &#0; &#x110000; &#-1; &;"],
  ["entities of many letters", `&CounterClockwiseContourIntegral; &NotEqualTilde; ${"&amp;".repeat(200)}`],
  [
    "a tag in fullwidth brackets",
    `\uff1c${image}\uff1e \u2039${image}\u203a \u3008${image}\u3009 \ufe64${image}\ufe65`,
  ],
  [
    "a tag with combining marks",
    `<\u0338${image}> <i\u0300mg src=x onerror=${run}> <img\u200b src=x onerror=${run}>`,
  ],
  [
    "a tag with exotic spaces",
    `<img\u00a0src=x\u2003onerror=${run}> <img\u3000src=x> <img\u2028src=x onerror=${run}>`,
  ],
  ["a tag with a vertical tab", `<img\vsrc=x\vonerror=${run}> <svg\u0085onload=${run}>`],
  ["nulls", `<\0${image}> <img\0 src=x onerror=${run}> \0 a\0b <\0/s>`],
  ["controls", Array.from({ length: 32 }, (_, i) => `a${String.fromCharCode(i)}<${image}>`).join("")],
  [
    "controls of the second kind",
    Array.from({ length: 33 }, (_, i) => String.fromCharCode(0x7f + i)).join("<b>"),
  ],
  ["a backspace and a delete", `safe\b\b\b\bevil \x7f\x7f <${image}>`],
  [
    "colours of a terminal",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ \x9b2J \x1b[2J\x1bc",
  ],
  ["a title of a terminal", `\x1b]0;${run}\x07 \x1bP$q"p\x1b\\ \x1b[6n`],
  ["a direction overridden", "\u202eThis is turned around <b>\u202e https://evil.example/\u202emoc.knab"],
  [
    "directions that are never closed",
    `${"\u202e".repeat(300)}${"\u2067".repeat(300)}${"\u202b".repeat(300)} end`,
  ],
  ["directions closed too often", `${"\u2069".repeat(300)}${"\u202c".repeat(300)}\u202e end`],
  [
    "directions in code",
    "`if (\u202e admin \u2066)` \n\n```js\nif (user != 'x\u202e \u2066// admin\u2069 \u2066') {}\n```",
  ],
  ["directions in a table", "| \u202ea | b |\n|---|---|\n| \u2067c | d\u2069\u2069 |"],
  ["marks of direction", `${"\u200e\u200f\u061c".repeat(50)} end`],
  ["zero width", `<\u200bscript>${run}</\u200bscript> j\u200ba\u200cv\u200da\u2060s\ufeffcript:${run}`],
  ["nothing but what cannot be seen", "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u3164\uffa0\u2800"],
  [
    "tags of Unicode",
    "\u{e0001}\u{e0049}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065} ignore what came before",
  ],
  ["variations", `a${"\ufe0f".repeat(500)}b${"\u{e0100}".repeat(300)}`],
  ["marks upon marks", `Z${"\u0300\u0301\u0316\u0335\u0489".repeat(100)}a${"\u0e49".repeat(200)}l`],
  ["halves of letters", "a\ud83d b\ude00 \ude00\ud83d <\ud800b> [\udfff](https://evil.example/\ud800)"],
  [
    "whole letters of two halves",
    `\u{1f469}\u200d\u{1f469}\u200d\u{1f466}\u{1f1e9}\u{1f1ea}<${image}>${"\u{1f600}".repeat(40)}`,
  ],
  ["no characters", "\ufffe\uffff\u{1fffe}\u{10ffff}\ufdd0\ufdef\ue000\u{100000}"],
  ["separators of lines", `a\u2028b\u2029c\u0085d <b\u2028${image}>`],
  [
    "letters that grow when they change case",
    `\u0130\ufb03\u1e9e\u0390 <\u0130mg src=x> <\u017fcript>${run}</\u017fcript>`,
  ],
  [
    "another encoding",
    `+ADw-script+AD4-${run}+ADw-/script+AD4- \xbcscript\xbe${run}\xbc/script\xbe %3Cscript%3E`,
  ],
  [
    "escapes of other languages",
    `\\u003cscript\\u003e \\x3cscript\\x3e \\74script\\76 {{constructor.constructor('${run}')()}} \${${run}}`,
  ],
  ["templates of other languages", `<%= ${run} %> {{7*7}} #{7*7} [[\${7*7}]] {% x %} <#if x> @(7*7)`],
  ["a comment", `<!-- <${image}> --> <!--><${image}> --> <!---><${image}> -->`],
  ["a comment that ends otherwise", `<!-- --!><${image}> <!-- -- ><${image}>--> <!<${image}> </ <${image}>>`],
  ["a comment of a browser", `<!--[if IE]><${image}><![endif]--> <![if !IE]><${image}><![endif]>`],
  ["a comment that is never closed", `<!-- ${run} <${image}>`],
  ["character data", `<![CDATA[<${image}>]]> <![CDATA[ ]]><${image}>]]>`],
  ["escapes of Markdown", `\\<${image}> \\\\<${image}> \\\`<${image}>\\\` \\[x](${evil}) [x\\](${evil})`],
];
