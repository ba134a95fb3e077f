/** Log of changes; a screen reader gets one sentence every few seconds at most. */

import { byId } from "../base/dom.js";
import { learnName } from "./chart.js";
import { copyOf } from "./view.js";

const MAX_ENTRIES = 200;
const ANNOUNCE_MS = 4000;

const pending = [];

/** Put an entry {tile_id, event} on top. */
export function addEntry({ tile_id: id, event }) {
  const node = copyOf("log-entry", { source: event.source, clock: new Date(event.time).toLocaleTimeString("en-GB"), ...wordsOf(event) });
  node.querySelector("time").dateTime = event.time;
  [event.game, event.before].forEach(learnName);
  Object.assign(node.dataset, { tile: id, kind: event.event, mismatch: event.mismatch });
  byId("log").prepend(node);
  if (byId("log").children.length > MAX_ENTRIES) byId("log").lastChild.remove();
}

function wordsOf({ event, source, game, before, message, category, mismatch }) {
  if (event === "failure") return { words: message.replace(`${source}: `, "") };
  const other = mismatch ? { versus: "but declares", other: category.name } : before && { versus: "after", other: before.name };
  return { verb: event === "change" ? "shows" : "ended; showed", words: game?.name ?? "no known game", ...other };
}

/** Announce an event, together with those of the next seconds. */
export function announce(event) {
  if (pending.push(`${event.source}: ${wordsOf(event).words}`) > 1) return;
  setTimeout(() => {
    const others = pending.length > 2 ? `, and ${pending.length - 2} more changes` : "";
    byId("announcer").textContent = pending.slice(0, 2).join("; ") + others;
    pending.length = 0;
  }, ANNOUNCE_MS);
}
