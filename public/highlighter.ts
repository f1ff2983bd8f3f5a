// Gives code its colours, as spans of our own making; the text stays as it is, letter by letter. Loaded with the
// first block that can have some.

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import ini from "highlight.js/lib/languages/ini";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import shell from "highlight.js/lib/languages/shell";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { dress, element } from "./element.ts";
import colours from "./highlight.css";
import { type Piece, piecesOf } from "./pieces.ts";

const usual = { bash, css, diff, ini, javascript, json, markdown, python, shell, sql, typescript, xml, yaml };
// What is read in one go, within a frame also on a slow phone.
const partChars = 2_000;

register(usual);
hljs.configure({ classPrefix: "" });
dress(colours);

/** Colours a block, step by step, in a language that highlight.ts knows. */
export async function colour(code: HTMLElement, language: string): Promise<Iterator<void, void>> {
  if (hljs.getLanguage(language) === undefined) register((await import("./grammars.ts")).grammars);
  return steps(code, language);
}

function register(grammars: Record<string, Parameters<typeof hljs.registerLanguage>[1]>) {
  for (const [name, grammar] of Object.entries(grammars)) hljs.registerLanguage(name, grammar);
}

/** Reads the block part by part, and then colours one of its segments after the other. */
function* steps(code: HTMLElement, language: string) {
  const pieces: Piece[] = [];
  for (let rest = code.textContent; rest !== ""; ) {
    const part = firstPart(rest, language);
    // A grammar that fails loses text.
    if (part.length === 0) return;
    rest = rest.slice(part.reduce((length, { text }) => length + text.length, 0));
    pieces.push(...part);
    yield;
  }
  pieces.reverse();
  // The same words again: a screen reader in the log has heard them.
  code.ariaLive = "off";
  for (const segment of code.children) {
    segment.replaceChildren(...taken(pieces, segment.textContent.length));
    yield;
  }
}

/** The code's first lines, as many as can be read in a moment and without what comes after them. */
function firstPart(code: string, language: string): Piece[] {
  for (let size = partChars; ; size *= 2) {
    const lines = code.slice(0, code.indexOf("\n", size) + 1 || undefined);
    const pieces = piecesOf(hljs.highlight(lines, { language, ignoreIllegals: true }).value);
    if (pieces.map(({ text }) => text).join("") !== lines) return [];
    if (lines === code) return pieces;
    // What is open at the end, such as a comment, may go on.
    const last = pieces.findLastIndex(({ text, isApart }) => isApart && text.includes("\n"));
    const piece = pieces[last];
    if (piece === undefined) continue;
    const text = piece.text.slice(0, piece.text.lastIndexOf("\n") + 1);
    return [...pieces.slice(0, last), { ...piece, text }];
  }
}

/** Takes so many letters off the end of the reversed list, for which it may cut a piece in two. */
function taken(pieces: Piece[], length: number): (Node | string)[] {
  const shown: (Node | string)[] = [];
  for (let left = length; left > 0; ) {
    const piece = pieces.pop() as Piece;
    const text = piece.text.slice(0, left);
    if (text !== piece.text) pieces.push({ ...piece, text: piece.text.slice(left) });
    shown.push(piece.colour === undefined ? text : element("span", { class: `code-${piece.colour}` }, text));
    left -= text.length;
  }
  return shown;
}
