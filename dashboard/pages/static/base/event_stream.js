/** Server-sent events that resume: by Last-Event-ID after a cut, by `after` when the page was hidden meanwhile. */

import { url } from "./api.js";

const RETRY_MS = 5000;

/** Return follow(after), which begins. onEvent("reset"), also after the server refused: read all again, then follow. */
export function followEvents(path, names, onEvent, onState) {
  let source, last, retry;

  function connect() {
    clearTimeout(retry);
    source?.close();
    if (document.hidden || !last) return onState("Paused");
    source = new EventSource(url(path, { after: last }));
    source.onopen = () => onState("Connected");
    source.onerror = () => {
      onState("Connection lost");
      // The browser itself retries, but not after an error response.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(onEvent, RETRY_MS, "reset", {});
    };
    for (const name of names) source.addEventListener(name, receive);
  }

  function receive({ type, data, lastEventId }) {
    last = lastEventId;
    onEvent(type, JSON.parse(data));
  }

  document.addEventListener("visibilitychange", connect);
  return (after) => connect((last = after));
}
