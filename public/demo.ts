// The demo site's snippet, with the address of this very server in it and a button that copies it, and the buttons
// that show what a page can have the chat do.

const shownMs = 1600;
const snippet = document.getElementById("snippet") as HTMLElement;
const button = document.getElementById("copy") as HTMLButtonElement;

snippet.textContent = snippet.textContent.replace("https://chat.example.com", location.origin);

// Missing without TLS, except on localhost.
if (navigator.clipboard !== undefined) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(snippet.textContent);
    } catch {
      return getSelection()?.selectAllChildren(snippet);
    }
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
    }, shownMs);
  });
}

const call = document.getElementById("call") as HTMLElement;

for (const button of document.querySelectorAll<HTMLButtonElement>("[data-cip]")) {
  button.addEventListener("click", () => {
    const { cip: command, text } = button.dataset;
    const words = [command, text].filter((word) => word !== undefined);
    call.textContent = `cip(${words.map((word) => JSON.stringify(word)).join(", ")})`;
    // Missing until the loader is there.
    (window.cip as ((...words: string[]) => void) | undefined)?.(...words);
  });
}
