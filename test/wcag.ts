// What a test asks of the chat for WCAG 2.2 AA, in each size and theme, and an answer that has everything in it.
import type { Frame, Page } from "playwright-core";
import { openChat, violations } from "./chat.ts";

const looks = [
  ["narrow, light", 320, 640, "light"],
  ["narrow, dark", 320, 640, "dark"],
  ["desktop, light", 1280, 800, "light"],
  ["desktop, dark", 1280, 800, "dark"],
] as const;

/** Something of all that Markdown can hold. */
export const rich = `## Plans

Some **bold**, *emphasis*, ~~struck~~ and \`code\` with a [link](https://example.com) to a page.

1. First
2. Second
   - inner

> A quote

\`\`\`js
const line = "that is long enough to be wider than any phone is, and then some more of it"; // a remark
\`\`\`

| Plan | Messages | Price of it | Whom it is for |
|:-----|:--------:|------:|---|
| Free | 100 | €0 | averyveryverylongwordthatdoesnotbreak |

$$\\int_0^1 \\frac{a + b + c + d + e + f + g + h}{x^2 + y^2 + z^2} \\, dx = \\sum_{n=1}^\\infty a_n + b_n + c_n + d_n$$

### Averyveryverylongwordthatdoesnotbreakanywhereatallinaheading

- [x] done
- [ ] open`;

/** What is wrong in each size and theme. */
export async function complaints(window: Page): Promise<string[]> {
  const found: string[] = [];
  for (const [name, width, height, colorScheme] of looks) {
    await window.setViewportSize({ width, height });
    await window.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const frame of window.frames()) {
      const all = [...(await violations(frame)), ...(await tooWide(frame)), ...(await tooSmall(frame))];
      found.push(...all.map((complaint) => `${name}: ${complaint}`));
    }
  }
  return found;
}

/** Whatever does not fit in the width. */
export function tooWide(frame: Page | Frame): Promise<string[]> {
  return frame.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll("#scroller, dialog")]
      .filter((node) => node.scrollWidth > node.clientWidth)
      .map((node) => `${node.id || node.localName} is ${node.scrollWidth} wide, not ${node.clientWidth}`),
  );
}

/** What can be pressed and is less than 24 pixels high or wide (2.5.8), but for links within a text. */
function tooSmall(frame: Frame): Promise<string[]> {
  return frame.evaluate(() =>
    [...document.querySelectorAll("button, summary, textarea, input:not(:disabled)")]
      .filter((node) => node.checkVisibility())
      .map((node) => [node, node.getBoundingClientRect()] as const)
      .filter(([, { width, height }]) => width < 24 || height < 24)
      .map(([node, { width, height }]) => `${node.outerHTML.slice(0, 80)} is ${width} by ${height}`),
  );
}

/** A chat of this tenant with one answer, its tools included. */
export const answered = async (url: string, tenant = "default") => {
  const chat = await openChat(url, {}, tenant);
  await chat.page.locator("#box").fill("Well?");
  await chat.page.locator("#box").press("Enter");
  await chat.idle();
  await chat.page.locator(".tools > .small-icon:nth-child(4)").first().waitFor();
  return chat;
};
