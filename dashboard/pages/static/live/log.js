/** Log of changes; a screen reader gets one sentence every few seconds at most. */

import { byId } from "../base/dom.js";
import { learnName } from "./chart.js";
import { copyOf } from "./view.js";

const MAX_ENTRIES = 200;
const ANNOUNCE_MS = 4000;
const pending = [];

/** Put an entry {tile_id, event} on top. */
export function addEntry({ tile_id: tile, event }) {
  const { source, time, game, before, mismatch } = event;
  [game, before].forEach(learnName);
  const node = copyOf("log-entry", { source, clock: new Date(time).toLocaleTimeString("en-GB"), ...wordsOf(event) });
  Object.assign(node.dataset, { tile, kind: event.event, mismatch });
  node.firstChild.dateTime = time;
  byId("log").prepend(node);
  byId("log").children[MAX_ENTRIES]?.remove();
}

function wordsOf({ event, source, game, message, category, mismatch }) {
  if (message) return { words: message.replace(`${source}: `, "") };
  const differs = mismatch && { but: "but declares", category: category.name };
  return { verb: event === "change" ? "shows" : "ended; showed", words: game?.name ?? "no known game", ...differs };
}

/** Announce an event, together with those of the next seconds. */
export function announce(event) {
  if (pending.push(`${event.source}: ${wordsOf(event).words}`) > 1) return;
  setTimeout(() => {
    const others = pending.length - 1;
    byId("announcer").textContent = pending.splice(0)[0] + (others ? `, and ${others} more changes` : "");
  }, ANNOUNCE_MS);
}
