/** Server-sent events that resume: the browser reconnects with Last-Event-ID, this module with `after`. */

import { url } from "./api.js";

const RETRY_MS = 5000;

/**
 * Follow the events `names` of an API path. A hidden page closes the connection, and resumes when it is shown.
 * onEvent(name, data); onState("Connecting" | "Connected" | "Connection lost" | "Paused"). Return open(after).
 */
export function followEvents(path, names, onEvent, onState) {
  let source, last, timer;

  function connect() {
    clearTimeout(timer);
    source?.close();
    if (document.hidden || !last) return onState("Paused");
    source = new EventSource(url(path, { after: last }));
    source.onopen = () => onState("Connected");
    source.onerror = () => {
      onState("Connection lost");
      // The browser itself retries after a broken connection, but not after an error response.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, RETRY_MS);
    };
    for (const name of names) {
      source.addEventListener(name, (event) => {
        last = event.lastEventId || last;
        onEvent(name, JSON.parse(event.data));
      });
    }
  }

  document.addEventListener("visibilitychange", connect);
  return (after) => {
    last = after;
    connect();
  };
}
