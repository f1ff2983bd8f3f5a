// Text is hostile, whoever wrote it: no script of it runs, nothing is asked of another host, no link hides where it
// leads, and the page goes on working, while an answer streams and when it comes back from the history.
import { beforeAll, describe, expect, test } from "bun:test";
import { openChat } from "./chat.ts";
import { corpus } from "./hostile/corpus.ts";
import { deceits } from "./hostile/deceits.ts";
import { loads } from "./hostile/loads.ts";
import { scripts } from "./hostile/scripts.ts";
import { intruders, intrudersIn, layout, watch } from "./hostile/watch.ts";
import { answer, type Step } from "./model.ts";
import { type Modules, withModule } from "./module.ts";
import { type Site, startSite } from "./site.ts";
import { until } from "./support.ts";

declare const modules: Modules;

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

/** Into pieces of a few letters, through entities and halves of letters; what is long into fewer. */
function cut(text: string, letters: number): string[] {
  const most = Math.max(letters, Math.ceil(text.length / (text.length > 1000 ? 6 : 40)));
  return text.match(new RegExp(`[^]{1,${most}}`, "g")) ?? [];
}

/** An answer that comes in pieces, with time in between to be shown. */
function inPieces(text: string, letters: number): Step[] {
  const steps = answer(...cut(text, letters));
  return steps.flatMap((step, i) => (i % 5 === 4 ? [step, { pauseMs: 1 }] : [step]));
}

/** A message that can be typed and stored as it is. */
function typed(text: string, i: number): string {
  const message = text.replace(/\r\n?/g, "\n").replaceAll("\0", "").slice(0, 2000);
  return `${i}: ${message.toWellFormed()} :`;
}

describe("the witness", () => {
  test("sees what the payloads do where nothing stands in their way", async () => {
    const window = await withModule("markdown.ts", { expected: [/evil\.example|SecurityError/] });
    const seen = await watch(window);
    const texts = [...scripts, ...loads].map(([, text]) => text);
    await window.evaluate((texts) => {
      for (const srcdoc of texts)
        document.body.append(Object.assign(document.createElement("iframe"), { srcdoc }));
    }, texts);
    const count = (what: string) => seen.filter((event) => event.startsWith(what)).length;
    await until(() => count("a script ran") > 25 && count("a request") > 25, "payloads do harm");
    await window.evaluate((texts) => {
      document.body.innerHTML = texts.join("\n");
    }, texts);
    expect((await intruders(window, "body")).length).toBeGreaterThan(50);
  });
});

describe("hostile text", () => {
  test("is there in hundreds of forms", () => {
    const names = corpus.flatMap(([what, payloads]) => payloads.map(([name]) => `${what}: ${name}`));
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(300);
  });

  test.each(corpus)("does no harm as answer or message, streamed or reloaded: %s", async (_, payloads) => {
    const messages = payloads.map(([, text], i) => typed(text, i));
    const answers = new Map(payloads.map(([, text], i) => [messages[i], inPieces(text, 1 + (i % 7))]));
    site.model.always(({ messages }) => answers.get(messages.at(-1)?.content) ?? answer("Still **here**"));
    const chat = await openChat(site.url);
    const before = await layout(chat.page);
    const seen = await watch(chat.page, site.url);
    // From within, as the page would be slowed down more by being asked from outside after each of them.
    await chat.page.evaluate(async (messages) => {
      const box = document.querySelector("#box") as HTMLTextAreaElement;
      const form = box.form as HTMLFormElement;
      for (const message of messages) {
        box.value = message;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        form.requestSubmit();
        while (form.classList.contains("busy")) await new Promise(requestAnimationFrame);
      }
    }, messages);
    const harmless = async () => {
      expect(seen).toEqual([]);
      expect(await intruders(chat.page, ".markdown")).toEqual([]);
      const questions = chat.turns.locator(".question p");
      expect(await questions.allTextContents()).toEqual(messages);
      expect(await questions.locator("*").count()).toBe(0);
      expect(await chat.turns.locator(".note").allTextContents()).toEqual([]);
    };
    await harmless();
    expect(await layout(chat.page)).toEqual(before);

    const shown = await chat.turns.allTextContents();
    await chat.page.reload();
    await chat.turns.first().waitFor();
    const earlier = chat.button("Show earlier messages");
    if (await earlier.isVisible()) await earlier.click();
    await until(async () => (await chat.turns.count()) === messages.length, "the history is there");
    await harmless();
    expect(await chat.turns.allTextContents()).toEqual(shown);
    await chat.ask("Are you well?");
    await chat.shows("Still here");
    expect(await layout(chat.page)).toEqual(before);
  });

  test("adds nothing but what it may at any moment, even where no policy stands behind", async () => {
    const window = await withModule("markdown.ts");
    const seen = await watch(window);
    await window.evaluate(`globalThis.intrudersIn = ${intrudersIn}`);
    for (const [what, payloads] of corpus) {
      const inParts = payloads.map(([name, text]) => [name, cut(text, 2)] as const);
      const found = await window.evaluate(
        (payloads) =>
          payloads.map(([name, parts]) => {
            const markdown = new modules.Markdown();
            document.body.replaceChildren(markdown.element);
            const found = parts.flatMap((part) => {
              markdown.append(part);
              markdown.render();
              return intrudersIn(".markdown");
            });
            return [name, ...found];
          }),
        inParts,
      );
      expect([what, found, seen]).toEqual([what, payloads.map(([name]) => [name]), []]);
    }
  });
});

describe("a link", () => {
  test("says where it leads, whatever its text says, and never another host on the way", async () => {
    const window = await withModule("markdown.ts");
    for (const [name, text, follows] of deceits) {
      const { hosts, takenBack } = await window.evaluate((text) => {
        const markdown = new modules.Markdown();
        const takenBack: string[] = [];
        let before = "";
        for (const letter of text) {
          markdown.append(letter);
          markdown.render();
          const shown = markdown.element.textContent.trim();
          if (!shown.startsWith(before)) takenBack.push(`${before} → ${shown}`);
          before = shown;
        }
        markdown.end();
        const links = [...markdown.element.querySelectorAll("a[href]")];
        return { hosts: links.map((link) => link.querySelector("small")?.textContent ?? ""), takenBack };
      }, text);
      const isReference = text.includes("]: ");
      expect([name, hosts, isReference || takenBack]).toEqual([
        name,
        [follows && ` (${follows})`],
        isReference || [],
      ]);
    }
  });

  test("tells its host to those who hear it, in a place of its own", async () => {
    site.model.next(
      answer("Go to [\u202emoc.\u2069lapyap](https://evil.example) \u202enow, or https://good.example"),
    );
    const chat = await openChat(site.url);
    await chat.ask("Links");
    await chat.idle();
    const links = chat.turns.getByRole("link");
    expect(await links.allTextContents()).toEqual(["moc.lapyap (evil.example)", "https://good.example"]);
    await chat.turns.getByRole("link", { name: "moc.lapyap (evil.example)", exact: true }).waitFor();
    const host = links.first().locator("small");
    const style = await host.evaluate((node) => {
      const { direction, display, textDecorationLine } = getComputedStyle(node);
      return { direction, display, textDecorationLine, from: node.getBoundingClientRect().left };
    });
    const from = await links.first().evaluate((node) => node.getBoundingClientRect().left);
    expect(style).toEqual({
      direction: "ltr",
      display: "inline-block",
      textDecorationLine: "none",
      from: expect.any(Number),
    });
    expect(style.from).toBeGreaterThan(from);
  });
});

describe("marks of direction", () => {
  test("turn nothing around but the message they are in", async () => {
    const turning = "\u2069\u202c".repeat(3) + "\u202e\u2067".repeat(80);
    site.model.next(answer("1 2"));
    const chat = await openChat(site.url);
    await chat.ask(`${turning}a b`);
    await chat.shows("1 2");
    const order = (selector: string) =>
      chat.page.evaluate((selector) => {
        const text = document.querySelector(selector)?.firstChild as Text;
        const left = (at: number) => {
          const range = document.createRange();
          range.setStart(text, at);
          range.setEnd(text, at + 1);
          return range.getBoundingClientRect().left;
        };
        return Math.sign(left(text.length - 1) - left(text.length - 3));
      }, selector);
    expect(await order(".question p")).toBe(-1);
    expect(await order(".markdown p")).toBe(1);
  });
});

describe("trusted types", () => {
  test("are made by nobody", async () => {
    const chat = await openChat(site.url, { expected: [/Trusted/] });
    site.model.next(answer("**Here**"));
    await chat.ask("Are you there?");
    await chat.shows("Here");
    const taken = await chat.page.evaluate(() => {
      type Policies = { createPolicy(name: string, rules: { createHTML?(text: string): string }): unknown };
      const { trustedTypes } = window as unknown as { trustedTypes: Policies };
      const attempts: Record<string, () => unknown> = {
        "another policy": () => trustedTypes.createPolicy("evil", { createHTML: (text) => text }),
        "one for everything": () => trustedTypes.createPolicy("default", {}),
        "some HTML": () => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"),
        "a script": () => Object.assign(document.createElement("script"), { text: "1" }),
        "a frame's page": () => Object.assign(document.createElement("iframe"), { srcdoc: "x" }),
      };
      return Object.keys(attempts).filter((name) => {
        try {
          attempts[name]?.();
          return true;
        } catch {
          return false;
        }
      });
    });
    expect(taken).toEqual([]);
    site.model.next(answer("Still **here**"));
    await chat.ask("Are you well?");
    await chat.shows("Still here");
  });
});
