// The splitter alone: whatever the deltas are, thinking and answer come out whole, apart and storable.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Kind, Splitter } from "../src/model/reasoning.ts";

function split(deltas: string[]): { reasoning: string; text: string; pieces: [Kind, string][] } {
  const said = { reasoning: "", text: "" };
  const pieces: [Kind, string][] = [];
  const splitter = new Splitter({
    append: (kind, piece) => {
      said[kind] += piece;
      pieces.push([kind, piece]);
    },
  });
  for (const delta of deltas) splitter.text(delta);
  splitter.end();
  return { ...said, pieces };
}

describe("<think> at the start of the text", () => {
  test.each([
    ["is reasoning, and what follows is the text", "<think>Hm.</think>Yes.", "Hm.", "Yes."],
    [
      "may come after blanks, and the blanks around the tags are dropped",
      " \n<think>\nHm.\n</think>\n\nYes. ",
      "Hm.\n",
      "Yes. ",
    ],
    ["leaves no reasoning when it is empty", "<think>\n\n</think>\n\nYes.", "", "Yes."],
    ["stays reasoning when it is never closed", "<think>Hm. </thin", "Hm. </thin", ""],
    [
      "keeps what only looks like its end",
      "<think>a < b </b> </thinking</think>c",
      "a < b </b> </thinking",
      "c",
    ],
    ["is found once: a second one is text", "<think>a</think>b<think>c</think>", "a", "b<think>c</think>"],
  ])("%s", (_, whole, reasoning, text) => {
    expect(split([whole])).toMatchObject({ reasoning, text });
  });

  test.each(["<thin", "<thinking> is a tag", "  \n<", "<b>x</b>", "\n\n", "", "Use <think> so", "</think>"])(
    "an answer that only begins like it comes out whole: %j",
    (whole) => {
      expect(split([whole])).toMatchObject({ reasoning: "", text: whole });
      expect(split([...whole])).toMatchObject({ reasoning: "", text: whole });
    },
  );

  test("any split of an answer into deltas gives the same reasoning and the same text", () => {
    const bits = fc.constantFrom(
      "<think>",
      "</think>",
      "<",
      "</",
      "th",
      "think>",
      " ",
      "\n",
      "a",
      "é",
      "😀",
      "\0",
    );
    fc.assert(
      fc.property(
        fc.array(bits).map((all) => all.join("")),
        fc.array(fc.nat(12)),
        (whole, lengths) => {
          const deltas: string[] = [];
          let at = 0;
          for (const length of lengths) {
            deltas.push(whole.slice(at, at + length));
            at += length;
          }
          const { reasoning, text } = split([...deltas, whole.slice(at)]);
          const once = split([whole]);
          expect({ reasoning, text }).toEqual({ reasoning: once.reasoning, text: once.text });
        },
      ),
    );
  });
});

describe("what comes out can be stored", () => {
  test("a surrogate pair cut by deltas is put together, and no piece ends inside it", () => {
    expect(split(["a\ud83d", "\ude00b"]).pieces).toEqual([
      ["text", "a"],
      ["text", "😀b"],
    ]);
  });

  test("the halves of a pair meet although reasoning comes between them", () => {
    const pieces: [Kind, string][] = [];
    const splitter = new Splitter({ append: (...piece) => pieces.push(piece) });
    splitter.text("a\ud83d");
    splitter.reasoning("Hm.");
    splitter.text("\ude00");
    expect(pieces.slice(1)).toEqual([
      ["reasoning", "Hm."],
      ["text", "😀"],
    ]);
  });

  test("lone surrogates and NUL become U+FFFD, the last one too", () => {
    expect(split(["\ude00a\0\ud83d", "b\ud83d"]).text).toBe("\ufffda\ufffd\ufffdb\ufffd");
    expect(split(["<think>\ud83d"]).reasoning).toBe("\ufffd");
  });

  test("whatever the model says, every piece is well-formed and none is empty", () => {
    const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
    const surrogate = fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code));
    const delta = fc
      .array(fc.oneof(unit, surrogate, fc.constantFrom("\0", "<think>")))
      .map((all) => all.join(""));
    fc.assert(
      fc.property(fc.array(delta), (deltas) => {
        for (const [, piece] of split(deltas).pieces) {
          expect(piece).not.toBe("");
          expect(piece.isWellFormed() && !piece.includes("\0")).toBe(true);
        }
      }),
    );
  });
});
