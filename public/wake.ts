// The moments at which what was known of the connection no longer counts: the browser is online again, or the
// page is seen again, be it after the laptop's sleep or from the back-forward cache.

export function onWake(wake: () => void, signal?: AbortSignal) {
  const options = signal === undefined ? {} : { signal };
  window.addEventListener("online", wake, options);
  window.addEventListener("pageshow", ({ persisted }) => persisted && wake(), options);
  document.addEventListener("visibilitychange", () => document.hidden || wake(), options);
}
