/** The wall: a tile for each watched channel, kept up to date by one stream of events. */

import { get, post, remove } from "../base/api.js";
import { byId, el, format, replace } from "../base/dom.js";
import { followEvents } from "../base/event_stream.js";
import { bindKeys } from "../base/keys.js";
import { notify, notifyError } from "../base/notices.js";
import { gamesOf } from "./chart.js";
import { addEntry, announce } from "./log.js";
import { Tile } from "./tile.js";

const REFRESH_MS = 10000; // of times such as "for 3 min"
const EVENTS = ["tile", "change", "verdict", "failure", "removed", "reset"];
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
let isArranged = true;
let large = null; // the tile in the dialog

const [list, filters, input, dialog] = ["tiles", "filters", "sources", "large"].map(byId);
const tileOf = (node) => tiles.get(node.closest("[data-tile]")?.dataset.tile);
const viewport = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const tile = tileOf(target);
    if (!tile) continue;
    tile.isVisible = isIntersecting;
    schedule(tile, true);
  }
});

/** Render a tile before the next paint, and arrange all tiles unless it stays `inPlace`. */
function schedule(tile, inPlace = false) {
  if (!changed.size) requestAnimationFrame(render);
  changed.add(tile);
  isArranged &&= inPlace;
}

function render() {
  for (const tile of changed) if (tiles.has(tile.data.id)) tile.render();
  if (changed.has(large)) renderLarge();
  changed.clear();
  if (!isArranged) arrange();
}

/** Show the tiles that match the filters, in the chosen order. */
function arrange() {
  isArranged = true;
  const { state, game, sort, mismatch } = filters.elements;
  const key = SORT_KEYS[sort.value];
  const all = [...tiles.values()].sort((a, b) => compare(key(a.data), key(b.data)) || compare(a.data.source, b.data.source));
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
  filters.hidden = !all.length;
  byId("empty").hidden = all.length;
  byId("none").hidden = shown.length || !all.length;
  const count = (test) => all.filter(({ data }) => test(data)).length;
  byId("counts").textContent = `${format.plural(all.length, "channel")} · ${count((data) => data.state === "live")} live · ` +
    `${count((data) => data.mismatch)} declared otherwise`;
}

function addTile(data) {
  if (tiles.has(data.id)) return;
  const tile = new Tile(data);
  tiles.set(data.id, tile);
  list.append(tile.node);
  viewport.observe(tile.node);
  schedule(tile);
}

function dropTile(id) {
  const tile = tiles.get(id);
  if (!tile) return;
  if (tile === large) dialog.close();
  tile.render(tile.node, false); // forgets the picture that waits
  viewport.unobserve(tile.node);
  tile.node.remove();
  tiles.delete(id);
  schedule(tile);
}

async function addSources(sources) {
  const { added, refused } = await post("/watch", { sources });
  added.forEach(addTile);
  const refusal = ({ source, message }) => el("p", { class: "banner danger" }, el("bdi", { text: source }), ": ", el("bdi", { text: message }));
  replace(byId("refusals"), refused.map(refusal));
  input.value = refused.map(({ source }) => source).join("\n");
}

async function removeTile(tile) {
  const { id, source } = tile.data;
  const next = shown[shown.indexOf(tile) + 1]?.node.querySelector("button") ?? input;
  await remove(`/watch/${id}`);
  dropTile(id);
  next.focus();
  notify(`${source} is not watched any more.`, { action: { label: "Undo", run: () => addSources([source]).catch(notifyError) } });
}

function enlarge(tile) {
  large = tile;
  dialog.dataset.tile = tile.data.id;
  renderLarge();
  if (dialog.open) return;
  dialog.showModal();
  bindKeys([
    { key: "ArrowLeft", label: "previous channel", run: ACTIONS.previous },
    { key: "ArrowRight", label: "next channel", run: ACTIONS.next },
  ], { scope: dialog });
}

const turn = (by) => enlarge(shown.at((shown.indexOf(large) + by) % shown.length) ?? large);

function renderLarge() {
  large.render(dialog, true);
  replace(byId("top"), large.top.map(({ name, confidence }) => el("li", {}, el("bdi", { class: "clip", text: name }),
    el("meter", { value: confidence, aria: { label: name } }), el("span", { class: "number", text: format.percent(confidence, 1) }))));
  replace(byId("legend"), gamesOf(large.data.history).map(({ name, colour }) =>
    el("li", {}, el("span", { class: `dot ${colour}` }), " ", el("bdi", { text: name }))));
  const entries = [...byId("log").children].filter((entry) => tileOf(entry) === large);
  replace(byId("changes"), entries.map((entry) => entry.cloneNode(true)));
}

function onEvent(name, { tile: delta, event }) {
  if (name === "reset") return load();
  if (name === "removed") return dropTile(delta.id);
  const tile = tiles.get(delta.id);
  if (!tile) return delta.source && addTile(delta); // not what is left of a removed one
  tile.update(delta, event);
  schedule(tile, !["state", "game", "mismatch"].some((key) => key in delta));
  if (name === "tile") return;
  addEntry({ tile_id: delta.id, event });
  announce(event);
}

function onState(state) {
  byId("connection").textContent = state;
  byId("connection").dataset.state = state;
}

const follow = followEvents("/watch/events", EVENTS, onEvent, onState);

/** Read the whole wall, then follow its events from there. */
async function load() {
  try {
    const [wall, log] = await Promise.all([get("/watch"), get("/watch/log", { limit: 200 })]);
    [...tiles.keys()].forEach(dropTile);
    wall.streams.forEach(addTile);
    replace(byId("log"));
    log.entries.reverse().forEach(addEntry);
    arrange();
    follow(wall.last_event_id);
  } catch {
    onState("Connection lost");
    setTimeout(load, REFRESH_MS);
  }
}

const ACTIONS = {
  enlarge,
  remove: (tile) => removeTile(tile).catch(notifyError),
  previous: () => turn(-1),
  next: () => turn(1),
};
document.addEventListener("click", ({ target }) => {
  const tile = tileOf(target);
  const action = target.closest("[data-do]")?.dataset.do ?? (target.matches(".tile canvas") && "enlarge");
  if (target === dialog) dialog.close();
  else if (tile) ACTIONS[action]?.(tile);
});
dialog.addEventListener("close", () => (large = null));
byId("add").addEventListener("submit", (event) => {
  event.preventDefault();
  addSources(input.value.split(/[\n,]/).map((line) => line.trim()).filter(Boolean)).catch(notifyError);
});
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  byId("add").requestSubmit();
});
filters.addEventListener("input", arrange);
setInterval(() => tiles.forEach((tile) => schedule(tile)), REFRESH_MS);

const focused = () => shown.findIndex(({ node }) => node.contains(document.activeElement));
const move = (by) => shown.at((focused() + by) % shown.length)?.node.querySelector("button").focus();
bindKeys([
  { key: "a", label: "add channels", run: () => input.focus() },
  { key: "m", label: "mismatches only", run: () => filters.elements.mismatch.click() },
  { key: "j", label: "next channel; Enter enlarges it", run: () => move(1) },
  { key: "k", label: "previous channel", run: () => move(-1) },
  { key: "Delete", label: "remove the channel", run: () => ACTIONS.remove(shown[focused()]), when: () => focused() >= 0 },
]);
load();
