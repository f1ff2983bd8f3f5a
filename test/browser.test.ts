// The whole path as a visitor goes it, on the real program, the embedded database and the demo model.
import { describe, expect, test } from "bun:test";
import { browser, page } from "./browser.ts";
import { chatIn } from "./chat.ts";
import { type Origin, startServer } from "./server.ts";
import { until } from "./support.ts";

describe.each<Origin>(["source", "binary"])("from %s", (from) => {
  test("a visitor opens the site, asks, watches the answer grow, reloads, and it is there", async () => {
    const server = await startServer({ from });
    const window = await page(await browser());
    const chat = chatIn(window.frameLocator("cip-chat iframe"));
    await window.goto(server.url);
    await window.getByRole("button", { name: "Open chat" }).click();
    await chat.inFocus();
    await window.frameLocator("cip-chat iframe").getByText("Demo model — no AI is connected").waitFor();

    await window.keyboard.type("How do I connect a model?");
    await window.keyboard.press("Enter");
    const lengths = new Set<number>();
    const stop = chat.button("Stop answer");
    await until(async () => {
      const { length } = await chat.text();
      if (await stop.isVisible()) lengths.add(length);
      return lengths.size > 4;
    }, "the answer grows while it is being written");
    await chat.idle();
    const answer = await chat.text();
    expect(answer).toStartWith("You asked: How do I connect a model?");
    expect(answer).toEndWith("each with its own prompt and data");
    expect(Math.max(...lengths)).toBeLessThan(answer.length);

    await window.reload();
    await chat.shows(answer);
    expect(await chat.turns.count()).toBe(1);
    expect(await server.stop()).toBe(0);
  });
});
