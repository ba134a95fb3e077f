/** The wall: a tile for each watched channel, kept up to date by one stream of events. */

import { get, post, remove } from "../base/api.js";
import { byId, el, format, replace } from "../base/dom.js";
import { followEvents } from "../base/event_stream.js";
import { bindKeys } from "../base/keys.js";
import { notify } from "../base/notices.js";
import { colourOf } from "./chart.js";
import { addEntry, announce } from "./log.js";
import { Tile } from "./tile.js";
import { copyOf } from "./view.js";

const REFRESH_MS = 10000; // of times such as "for 3 min"
const { compare } = new Intl.Collator("en", { numeric: true });
const SORT_KEYS = {
  source: () => "",
  game: ({ game }) => game?.name ?? "\uffff",
  confidence: ({ confidence }) => (confidence ?? 2).toFixed(6),
  since: ({ since }) => String(9e15 - Date.parse(since ?? 0)), // the latest first
};

const tiles = new Map();
const changed = new Set(); // tiles to render before the next paint
let shown = []; // the tiles that match the filters, in order
let large; // the tile in the dialog

const [list, filters, input, dialog, connection] = ["tiles", "filters", "sources", "large", "connection"].map(byId);
const { state, game, sort, mismatch } = filters.elements;
const tileOf = (node) => tiles.get(node.closest("[data-tile]")?.dataset.tile);
const viewport = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const tile = tileOf(target);
    if (tile) schedule(Object.assign(tile, { isVisible: isIntersecting }));
  }
});

function schedule(tile) {
  if (!changed.size) requestAnimationFrame(render);
  changed.add(tile);
}

function render() {
  for (const tile of changed) if (tiles.has(tile.data.id)) tile.render();
  if (changed.has(large)) renderLarge();
  changed.clear();
}

/** Show the tiles that match the filters, in the chosen order. */
function arrange() {
  const key = SORT_KEYS[sort.value];
  const all = [...tiles.values()].sort(({ data: a }, { data: b }) => compare(key(a), key(b)) || compare(a.source, b.source));
  const count = (test) => all.filter(({ data }) => test(data)).length;
  shown = all.filter(({ data }) => (!state.value || data.state === state.value) &&
    (!game.value || data.game?.id === game.value) && (!mismatch.checked || data.mismatch));
  const focused = document.activeElement;
  if (all.some(({ node }, index) => node !== list.children[index])) list.append(...all.map(({ node }) => node));
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  for (const tile of all) {
    const { id, name } = tile.data.game ?? {};
    if (id && ![...game.options].some(({ value }) => value === id)) game.add(new Option(name, id));
    tile.node.hidden = !shown.includes(tile);
  }
  byId("counts").textContent = `${format.plural(all.length, "channel")} · ${count((data) => data.state === "live")} live · ${count((data) => data.mismatch)} declared otherwise`;
}

function addTile(data) {
  if (tiles.has(data.id)) return;
  const tile = new Tile(data);
  tiles.set(data.id, tile);
  list.append(tile.node);
  viewport.observe(tile.node);
}

function dropTile(id) {
  const tile = tiles.get(id);
  if (!tile) return;
  if (tile === large) dialog.close();
  tile.render(tile.node, false); // forgets the picture that waits
  viewport.unobserve(tile.node);
  tile.node.remove();
  tiles.delete(id);
  arrange();
}

async function addSources(sources) {
  const { added, refused } = await post("/watch", { sources });
  added.forEach(addTile);
  arrange();
  replace(byId("refusals"), refused.map((one) => copyOf("refusal", one)));
  input.value = refused.map(({ source }) => source).join("\n");
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
  dialog.querySelector("canvas").replaceWith(el("canvas", { aria: { hidden: true } })); // without the former one's frame
  renderLarge();
  if (!dialog.open) dialog.showModal();
}

function renderLarge() {
  large.render(dialog, true);
  replace(byId("top"), large.top.map(({ id, name, confidence: bar }) => {
    const entry = copyOf("probable", { name, bar, percent: format.percent(bar, 1) });
    entry.firstChild.className = `dot ${colourOf(String(id))}`;
    return entry;
  }));
  replace(byId("changes"), [...byId("log").children].filter((entry) => tileOf(entry) === large).map((entry) => entry.cloneNode(true)));
}

function onEvent(name, { tile: delta, event }) {
  if (name === "reset") return load();
  if (name === "removed") return dropTile(delta.id);
  const tile = tiles.get(delta.id);
  if (tile) {
    tile.update(delta, event);
    schedule(tile);
  } else if (delta.source) addTile(delta); // otherwise it is what is left of a removed one
  if ("state" in delta || "game" in delta || "mismatch" in delta) arrange();
  if (name === "tile") return;
  addEntry({ tile_id: delta.id, event });
  announce(event);
}

function onState(text) {
  connection.textContent = connection.dataset.state = text;
}

const follow = followEvents("/watch/events", ["tile", "change", "verdict", "failure", "removed", "reset"], onEvent, onState);

/** Read the whole wall, then follow its events from there. */
async function load() {
  try {
    const [wall, log] = await Promise.all([get("/watch"), get("/watch/log", { limit: 200 })]);
    for (const id of tiles.keys()) if (!wall.streams.some((data) => data.id === id)) dropTile(id);
    for (const data of wall.streams) {
      tiles.get(data.id)?.update(data);
      addTile(data);
    }
    tiles.forEach(schedule);
    arrange();
    replace(byId("log"));
    log.entries.reverse().forEach(addEntry);
    list.ariaBusy = false;
    follow(wall.last_event_id);
  } catch {
    onState("Connection lost");
    setTimeout(load, REFRESH_MS);
  }
}

function turn(by) {
  enlarge(shown.at((shown.indexOf(large) + by) % shown.length) ?? large);
}

const ACTIONS = { enlarge, remove: removeTile, previous: () => turn(-1), next: () => turn(1) };
document.onclick = ({ target }) => {
  const tile = tileOf(target);
  const action = target.closest("[data-do]")?.dataset.do;
  if (target === dialog) dialog.close();
  else if (tile && action) ACTIONS[action](tile);
};
dialog.onclose = () => (large = undefined);
dialog.onkeydown = ({ key }) => ACTIONS[{ ArrowLeft: "previous", ArrowRight: "next" }[key]]?.();
byId("add").onsubmit = (event) => {
  event.preventDefault();
  addSources(input.value.match(/[^\s,]+/g) ?? []);
};
input.onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  byId("add").requestSubmit();
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
