/** The wall: a tile for each watched channel, kept up to date by one stream of events. */

import { get, post, remove } from "../base/api.js";
import { byId, format, replace } from "../base/dom.js";
import { followEvents } from "../base/event_stream.js";
import { bindKeys } from "../base/keys.js";
import { notify } from "../base/notices.js";
import { colourOf, learnName, Tile } from "./tile.js";
import { copyOf } from "./view.js";

const REFRESH_MS = 10000; // of times such as "for 3 min"
const ANNOUNCE_MS = 4000;
const [MAX_ENTRIES, MAX_ANNOUNCED] = [200, 4];
const { compare } = new Intl.Collator("en", { numeric: true });
const SORT_KEYS = {
  source: () => "",
  game: ({ game }) => game?.name ?? "\uffff",
  confidence: ({ confidence }) => (confidence ?? 2).toFixed(6),
  since: ({ since }) => 9e15 - Date.parse(since ?? 0), // the latest first
};

const tiles = new Map();
const pending = []; // announcements
const changed = new Set(); // since the last paint
let shown = []; // the tiles that match the filters, in order
let large; // the tile in the dialog

const [list, filters, input, dialog, connection, log] = ["tiles", "filters", "sources", "large", "connection", "log"].map(byId);
const { state, game, sort, mismatch } = filters.elements;
const tileOf = (node) => tiles.get(node.closest("[data-tile]")?.dataset.tile);
const viewport = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
  target.isVisible = isIntersecting;
  schedule(tileOf(target));
}));

function schedule(tile) {
  if (!changed.size) requestAnimationFrame(render);
  changed.add(tile);
}

function render() {
  for (const tile of changed) if (tile?.node.isConnected) tile.render();
  if (large && changed.has(large)) renderLarge();
  changed.clear();
}

function arrange() {
  const keyOf = SORT_KEYS[sort.value];
  const all = [...tiles.values()].sort(({ data: a }, { data: b }) => compare(keyOf(a), keyOf(b)) || compare(a.source, b.source));
  const focused = document.activeElement;
  if (all.some(({ node }, index) => node !== list.children[index])) list.append(...all.map(({ node }) => node));
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  shown = all.filter(({ node, data }) => {
    const { id, name } = data.game ?? {};
    if (id && !game.querySelector(`[value="${id}"]`)) game.add(new Option(name, id));
    node.hidden = (state.value && data.state !== state.value) || (game.value && id !== game.value) || (mismatch.checked && !data.mismatch);
    return !node.hidden;
  });
  const count = (key, value) => all.filter(({ data }) => data[key] === value).length;
  byId("counts").textContent = `${format.plural(all.length, "channel")} · ${count("state", "live")} live · ${count("mismatch", true)} declared otherwise`;
}

function put(data, event) {
  let tile = tiles.get(data.id);
  if (!tile && !data.source) return; // what is left of a removed one
  if (!tile) {
    tiles.set(data.id, (tile = new Tile(data.id)));
    viewport.observe(tile.node);
  }
  tile.update(data, event);
  schedule(tile);
}

function dropTile(id) {
  const tile = tiles.get(id);
  if (!tile) return;
  if (tile === large) dialog.close();
  tile.node.remove();
  tiles.delete(id);
  arrange();
}

async function addSources(sources) {
  const { added, refused } = await post("/watch", { sources });
  added.forEach(put);
  arrange();
  replace(byId("refusals"), refused.map((one) => copyOf("refusal", one)));
  return refused;
}

async function removeTile(tile) {
  const { id, source } = tile.data;
  const next = shown[shown.indexOf(tile) + 1]?.node.querySelector("button") ?? input;
  await remove(`/watch/${id}`);
  dropTile(id);
  next.focus();
  notify(`${source} is not watched any more.`, { action: { label: "Undo", run: () => addSources([source]) } });
}

function enlarge(tile) {
  large = tile;
  dialog.dataset.tile = tile.data.id;
  const canvas = dialog.querySelector("canvas");
  canvas.replaceWith(canvas.cloneNode()); // without the former tile's frame
  renderLarge();
  if (!dialog.open) dialog.showModal();
}

function renderLarge() {
  large.render(dialog);
  replace(byId("top"), large.top.map(({ id, name, confidence: bar }) => {
    const entry = copyOf("probable", { name, bar, percent: format.percent(bar, 1) });
    entry.firstChild.className = `dot ${colourOf(String(id))}`;
    return entry;
  }));
  replace(byId("changes"), [...log.querySelectorAll(`[data-tile="${large.data.id}"]`)].map((entry) => entry.cloneNode(true)));
}

function onEvent(name, { tile: delta, event }) {
  if (name === "reset") return load();
  if (name === "removed") return dropTile(delta.id);
  put(delta, event);
  if ("since" in delta || "mismatch" in delta) arrange();
  if (name === "tile") return;
  if (pending.push(addEntry({ tile_id: delta.id, event })) > 1) return;
  setTimeout(() => (byId("announcer").textContent = pending.splice(0).slice(-MAX_ANNOUNCED).join("; ")), ANNOUNCE_MS);
}

function addEntry({ tile_id: tile, event: { event: kind, source, time, game, before, message, category, mismatch } }) {
  [game, before].forEach(learnName);
  const words = message?.replace(`${source}: `, "") ?? game?.name ?? "no known game";
  const entry = copyOf("log-entry", {
    source,
    clock: new Date(time).toLocaleTimeString("en-GB"),
    verb: { change: "shows", verdict: "ended; showed" }[kind],
    words,
    ...(mismatch && { but: "but declares", category: category.name }),
  });
  Object.assign(entry.dataset, { tile, kind, mismatch });
  entry.firstChild.dateTime = time;
  log.prepend(entry);
  log.children[MAX_ENTRIES]?.remove();
  return `${source}: ${words}`;
}

const onState = (text) => (connection.textContent = connection.dataset.state = text);

const follow = followEvents("/watch/events", ["tile", "change", "verdict", "failure", "removed", "reset"], onEvent, onState);

async function load() {
  try {
    const [wall, { entries }] = await Promise.all([get("/watch"), get("/watch/log", { limit: MAX_ENTRIES })]);
    for (const id of tiles.keys()) if (!wall.streams.some((data) => data.id === id)) dropTile(id);
    wall.streams.forEach(put);
    arrange();
    replace(log);
    entries.reverse().forEach(addEntry);
    list.ariaBusy = false;
    follow(wall.last_event_id);
  } catch {
    onState("Connection lost");
    setTimeout(load, REFRESH_MS);
  }
}

const turn = (by) => enlarge(shown.at((shown.indexOf(large) + by) % shown.length) ?? large);
const ACTIONS = { enlarge, remove: removeTile, ArrowLeft: () => turn(-1), ArrowRight: () => turn(1) };
document.onclick = ({ target }) => {
  const tile = tileOf(target);
  const action = target.closest("[data-do]")?.dataset.do;
  if (target === dialog) dialog.close();
  else if (tile && action) ACTIONS[action](tile);
};
dialog.isVisible = true;
dialog.onclose = () => (large = undefined);
dialog.onkeydown = ({ key }) => ACTIONS[key]?.();
byId("add").onsubmit = async (event) => {
  event.preventDefault();
  const refused = await addSources(input.value.match(/[^\s,]+/g) ?? []);
  input.value = refused.map(({ source }) => source).join("\n");
};
input.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  input.form.requestSubmit();
};
filters.oninput = arrange;
setInterval(() => tiles.forEach(schedule), REFRESH_MS);

const focused = () => tileOf(document.activeElement);
bindKeys([
  { key: "a", label: "add channels", run: () => input.focus() },
  { key: "m", label: "mismatches only", run: () => mismatch.click() },
  { key: "Delete", label: "remove the channel", run: () => removeTile(focused()), when: focused },
]);
load();
