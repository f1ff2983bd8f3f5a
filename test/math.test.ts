// Math, from what of an answer is meant as such to what is drawn of it: MathML, and nothing that a model could misuse.
import { describe, expect, test } from "bun:test";
import type { Markdown } from "../public/markdown.ts";
import { formulaAt } from "../public/math.ts";
import type { typeset } from "../public/typeset.ts";
import { watch } from "./hostile/watch.ts";
import { withModule } from "./module.ts";

declare const modules: { typeset: typeof typeset; Markdown: typeof Markdown };

/** The formulas of a line without code. */
function formulasIn(text: string): string[] {
  const found: string[] = [];
  for (let at = 0; at < text.length; ) {
    const formula = formulaAt(text.slice(at), text[at - 1]);
    if (formula !== undefined) found.push(formula.raw);
    at += formula?.raw.length ?? 1;
  }
  return found;
}

describe("between dollars", () => {
  test.each([
    "It costs $5 and $10, or US$5_000.",
    "From $5/mo to 10$ more, $20-$30, **$5**/$10, $5 or 5$ and $5, $6, $7.",
    "Cheap ($), dear ($$), B ($$) and $$–$$$, $$ and $$$.",
    "$HOME and $USER, $HOME/bin:$PATH, $('#a').on($b), $a=$b, Dear $name$.",
    "От $5 до 7$, $5 a month and not 6$, $1,000 – $2,000.",
    "$x is a$ and $ x $ and $x\ny$ and \\$x$ and a$x$",
  ])("there are prices and variables: %s", (text) => expect(formulasIn(text)).toEqual([]));

  test.each([
    "$x$ $5$ $-1$ $n+1$ $2x$ $f(x)$ $(a, b)$ $[0,1)$ $P(A|B)$ $ABC$",
    "$E_{max}$ $10^{-3}$ $a_1, \\dots, a_n$ $3 \\times 4$ $\\int_0^1 g\\,dx dy$ $v = \\text{so fast}$ $\\$5$",
    "$$x$$ \\(a\\) \\[a\\\\\\ b\\]",
  ])("there is math: %s", (text) => expect(formulasIn(text).join(" ")).toBe(text));
});

// Each with what is shown of it in the end, where \u220E is a formula.
const samples = [
  [
    "The root $x_1 = \\frac{-b}{2a}$ costs $5 and **$n$ of $10** or $5, $6. In $a*b$ and *so $c*d$* it is.",
    "The root \u220E costs $5 and \u220E of $10 or $5, $6. In \u220E and so \u220E it is.",
  ],
  [
    "So \\(a_1 * b\\) and \\(c * d_1\\) hold; `\\(code\\)` and `$x$` and a $y$. It is $n$.",
    "So \u220E and \u220E hold; \\(code\\) and $x$ and a \u220E. It is \u220E.",
  ],
  [
    "Then\n\n\\[\n\\begin{aligned}\na &= b \\\\\n- c &= d\n\\end{aligned}\n\\]\n\nand\n$$\nx\n= 1\n- 2\n$$\nand $$y^2$$ end",
    "Then \u220E and \u220E and \u220E end",
  ],
  [
    "1. First:\n   \\[\n   x = 1\n   \\]\n2. Second: $x$.\n\n> $$z$$\n\n| a | b |\n|---|---|\n| $a$ | \\(b\\) |\n\nCheap $$, dear $$$",
    "First: \u220E Second: \u220E. \u220E a b \u220E \u220E Cheap $$, dear $$$",
  ],
  [
    "```sh\necho $HOME and $USER \\[ x \\]\n```\n\nEscaped \\$5 and \\$x$ and a lone \\( at the end $x",
    "sh echo $HOME and $USER \\[ x \\] Escaped $5 and $x$ and a lone ( at the end $x",
  ],
] as const;

describe("an answer that grows", () => {
  test.each(samples)(
    "never takes back what it has shown, and shows a formula when it is whole: %p",
    async (text, shown) => {
      const window = await withModule("markdown.ts");
      const told = await window.evaluate((text) => {
        const markdown = new modules.Markdown();
        // What is drawn takes the place of its source later, which changes nothing of the text around it.
        const shown = () => {
          const copy = markdown.element.cloneNode(true) as Element;
          for (const formula of copy.querySelectorAll(".math")) formula.replaceWith("\u220E");
          return copy.textContent.replace(/\s+/g, "");
        };
        const broken: string[] = [];
        let before = "";
        for (const character of [...text, undefined]) {
          markdown.append(character ?? "");
          markdown.render();
          if (character === undefined) markdown.end();
          if (!shown().startsWith(before)) broken.push(`${before.slice(-30)} \u2192 ${shown().slice(-30)}`);
          before = shown();
        }
        return { broken, shown: before };
      }, text);
      expect(told).toEqual({ broken: [], shown: shown.replace(/\s+/g, "") });
    },
  );
});

/** What TeX can be made to do elsewhere. */
const hostile: [what: string, tex: string][] = [
  ["a link", "\\href{javascript:ran()}{x}"],
  ["another link", "\\url{https://evil.example}"],
  ["a picture", "\\includegraphics{https://evil.example/x.png}"],
  ["a class", "\\htmlClass{cip}{x}"],
  ["a class of its own", "\\class{code}{x}"],
  ["an id", "\\id{log}{x}"],
  ["a style", "\\style{position:fixed}{x}"],
  ["data", "\\htmlData{a=b}{x}"],
  ["a definition that repeats itself", "\\def\\a{\\a\\a}\\a"],
  ["definitions that grow", "\\def\\a{xxxxxxxxxx}\\def\\b{\\a\\a\\a\\a\\a}\\def\\c{\\b\\b\\b\\b}\\c\\c\\c"],
  ["a command of its own", "\\newcommand{\\a}{x}\\a"],
  ["a new name", "\\let\\a=x\\a"],
  ["depth", `${"\\sqrt{".repeat(500)}x${"}".repeat(500)}`],
  ["fractions in fractions", `${"\\frac{1}{".repeat(300)}x${"}".repeat(300)}`],
  ["powers of powers", `${"x^{".repeat(600)}x${"}".repeat(600)}`],
  ["brackets in brackets", `${"\\left(".repeat(300)}x${"\\right)".repeat(300)}`],
  ["a table of thousands", `\\begin{matrix}${"&".repeat(3500)}\\end{matrix}`],
  ["what is not closed", "\\frac{1}{"],
  ["what does not exist", "\\nothing{x}"],
];
/** What is drawn, but without what would harm. */
const tamed: [what: string, tex: string][] = [
  ["a colour that hides", "\\color{white}x\\textcolor{#fff}{y}\\colorbox{black}{z}"],
  ["a place elsewhere", "\\raisebox{-99em}{x}\\hspace{-99em}y\\kern-99em z\\llap{xxx}"],
  ["a size", "\\rule{9999em}{9999em}x\\hspace{9999em}y"],
  ["a label", "x\\label{log}\\ref{log}"],
  ["HTML of its text", "\\text{<img src=x onerror=ran()>}</math><img src=x onerror=ran()>"],
];

describe("a formula", () => {
  test.each(hostile)("that is not to be drawn stays as it is written: %s", async (_, tex) => {
    const window = await withModule("typeset.ts");
    const seen = await watch(window);
    const shown = await window.evaluate((tex) => {
      const place = document.createElement("span");
      place.append(tex);
      document.body.append(place);
      modules.typeset(place, `\\[${tex}\\]`, true);
      return [place.innerHTML === new Option(tex).innerHTML, place.childElementCount] as const;
    }, tex);
    expect(shown).toEqual([true, 0]);
    expect(seen).toEqual([]);
  });

  test.each(tamed)("is drawn without %s", async (_, tex) => {
    const window = await withModule("typeset.ts");
    const found = await window.evaluate((tex) => {
      const place = document.createElement("span");
      document.body.append(place);
      modules.typeset(place, `\\(${tex}\\)`, false);
      const nodes = [...place.querySelectorAll<HTMLElement>("*")];
      return {
        drawn: place.firstElementChild?.localName,
        foreign: nodes.filter((node) => node.namespaceURI !== "http://www.w3.org/1998/Math/MathML").length,
        attributes: nodes
          .flatMap((node) => node.getAttributeNames())
          .filter((name) => /^(id|href|math)/.test(name)),
        styles: nodes
          .map((node) => node.style.cssText)
          .filter((css) => /color|position|margin|left|ground/.test(css)),
        sizes: nodes
          .flatMap((node) => [...node.outerHTML.matchAll(/\d+(?=e[mx]|p[xt])/g)].map(Number))
          .filter((size) => size > 25),
      };
    }, tex);
    expect(found).toEqual({ drawn: "math", foreign: 0, attributes: [], styles: [], sizes: [] });
  });
});
