// Character references in Markdown (CommonMark 0.31, section 6.2). A parser of HTML would know all two thousand; a
// model uses these, and another one is shown as it was written.

const named =
  "amp& lt< gt> quot\" apos' nbsp\u00a0 copy© reg® trade™ hellip… mdash— ndash– lsquo‘ rsquo’ ldquo“ rdquo” laquo« raquo» bull• middot· times× divide÷ minus− plusmn± deg° euro€ pound£ yen¥ cent¢ sect§ para¶ larr← uarr↑ rarr→ darr↓ harr↔ le≤ ge≥ ne≠ asymp≈ infin∞ sum∑ radic√ frac12½ frac14¼ frac34¾ sup2² sup3³ alphaα betaβ gammaγ deltaδ lambdaλ muμ piπ sigmaσ omegaω OmegaΩ DeltaΔ thinsp\u2009 ensp\u2002 emsp\u2003 shy\u00ad zwnj\u200c check✓";

const characters = new Map(named.split(" ").map((pair) => [pair.slice(0, -1), pair.slice(-1)]));

/** The text with its character references replaced by what they stand for. */
export function decoded(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi, (reference, hex, decimal, name) => {
    if (name !== undefined) return characters.get(name) ?? reference;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return isCharacter ? String.fromCodePoint(code) : "\ufffd";
  });
}
