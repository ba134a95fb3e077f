/** The page of the dataset: loads what the query says, keeps in step with the server, and takes keys and buttons. */

import { get } from "/static/base/api.js";
import { ask } from "/static/base/dialogs.js";
import { byId, format } from "/static/base/dom.js";
import { bindKeys } from "/static/base/keys.js";
import { notifyError } from "/static/base/notices.js";
import { Actions } from "./actions.js";
import { FrameView } from "./frame.js";
import { Frames } from "./frames.js";
import { Grid } from "./grid.js";
import { openHistory } from "./history.js";
import { Panel } from "./panel.js";
import { readAddress, toFilter, withoutFilter, writeAddress } from "./query.js";
import { Selection } from "./selection.js";

const POLL_MS = 4000;
const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];

let [query, path] = readAddress();
let frames = null;
let version = 0;
let loads = 0;
let ranges = 0;

const selection = new Selection(showSelection);
const panel = new Panel(setQuery);
const grid = new Grid(selection, panel.nameOf, (index) => view.openIndex(index), select);
const view = new FrameView(() => frames, () => grid.total, panel.nameOf,
  () => bindKeys(keysOf(view.dialog), { scope: view.dialog }), (shown) => writeAddress(query, shown, false));
const actions = new Actions(async () => {
  await load(true);
  if (byId("history").open) openHistory();
});

/** Load and show the frames of the query; stay: where the user is now. */
async function load(stay) {
  const current = ++loads;
  const next = new Frames(query, onPage, notifyError);
  try {
    const top = stay ? await next.find(...anchors()) : null;
    const groups = query.sort === "stream" ? get("/dataset/groups", query) : null;
    const [summary, page, answer] = await Promise.all([get("/dataset"), next.load(top < 0 ? grid.visible()[0] : top), groups]);
    if (current !== loads) return;
    frames?.close();
    frames = next;
    version = summary.version;
    panel.show(summary, query);
    showState(summary, page.total);
    grid.show(frames, page.total, answer?.groups ?? null, top);
    showSelection();
  } catch (error) {
    showBanner(error);
  } finally {
    if (frames !== next) next.close();
  }
}

/** Return the paths of the frames by which the grid finds its place again. */
function anchors() {
  const [first, last] = grid.visible();
  const paths = [];
  for (let index = first; index < last; index++) paths.push(frames?.at(index)?.path);
  return paths.filter((shown) => shown && !selection.has(shown)).slice(0, 3);
}

function onPage(answer) {
  if (version && answer.version !== version) poll();
  else grid.schedule();
}

async function poll() {
  if (document.hidden) return;
  try {
    const summary = await get("/dataset");
    if (summary.version !== version) await load(true);
    else showState(summary, grid.total);
  } catch (error) {
    showBanner(error);
  }
}

function setQuery(changed, isNew = true) {
  if (JSON.stringify(toFilter(changed)) !== JSON.stringify(toFilter(query))) selection.clear();
  query = changed;
  writeAddress(query, view.path, isNew);
  return load(false);
}

function showBanner(error) {
  byId("banner").hidden = !error;
  byId("banner").textContent = error?.detail ?? error;
}

function showState({ message, frames: all }, total) {
  showBanner(message);
  selection.total = total;
  byId("no-frames").hidden = all > 0;
  byId("no-matches").hidden = total > 0 || !all;
  byId("grid").hidden = !total;
  byId("grid").classList.toggle("by-stream", query.sort === "stream");
  byId("count").textContent = total === all ? format.plural(all, "frame") : `${format.number(total)} of ${format.plural(all, "frame")}`;
  byId("clear").hidden = !Object.keys(toFilter(query)).length;
  byId("sort").value = query.sort;
  byId("sort").lastElementChild.hidden = !query.like;
  byId("descending").setAttribute("aria-pressed", Boolean(query.descending));
}

function showSelection() {
  byId("actions").hidden = !selection.count;
  byId("selected").textContent = `${format.number(selection.count)} selected`;
  byId("select-all").hidden = selection.count >= grid.total;
  byId("select-all").firstElementChild.textContent = `Select all ${format.number(grid.total)}`;
  if (frames) grid.render();
}

async function select(index, mode) {
  const chosen = frames.at(index)?.path;
  if (mode !== "range") return chosen && selection[mode](chosen, index);
  const current = ++ranges;
  const [first, last] = [selection.anchor, index].sort((one, other) => one - other);
  const paths = await frames.paths(first, last + 1);
  if (current === ranges) selection.range(paths);
}

async function selectGroup({ start, count }) {
  selection.toggleAll(await frames.paths(start, start + count));
}

async function selectStream() {
  const frame = frames.at(grid.active);
  if (!frame || query.sort === "stream") return frame && selectGroup(grid.groupOf(grid.active));
  const stream = new Frames({ ...query, game: [frame.game_id], login: [frame.login] });
  selection.toggleAll(await stream.paths(0, grid.total));
}

/** Change the shown frame, or the selected ones. */
async function change(action) {
  const { isOpen, index } = view;
  const [body, count, example] = isOpen ? [{ frames: [view.path] }, 1, view.path] : [{ ...selection.body(toFilter(query)), version }, selection.count, selection.example];
  const suggested = frames.at(frames.indexOf(example))?.suggested;
  if (!count || !(await actions.change(action, body, count, panel.summary.games, suggested))) return;
  if (isOpen) return view.openIndex(index);
  selection.clear();
  grid.activate(grid.active);
}

async function goTo() {
  const text = await ask("Go to a frame", { label: `Its place, 1 to ${format.number(grid.total)}, or a percentage such as 50%`, action: "Go" });
  const place = Number.parseFloat(text?.replaceAll(",", ""));
  if (place >= 0) grid.activate(text.includes("%") ? Math.round((place / 100) * (grid.total - 1)) : Math.round(place) - 1);
}

function showLike() {
  const like = view.path || frames.at(grid.active)?.path;
  if (view.isOpen) view.close();
  if (like) setQuery({ ...query, sort: "likeness", descending: "", like });
}

function step(key, isRange) {
  if (isRange && !selection.count) selection.only(frames.at(grid.active)?.path, grid.active);
  grid.activate(grid.neighbour(key));
  if (isRange) select(grid.active, "range");
}

function resize(tile) {
  byId("tile-size").value = tile;
  localStorage.setItem("tile", tile);
  grid.resize(Number(byId("tile-size").value));
}

function toggleSide(isOpen) {
  const isShown = byId("dataset").classList.toggle("side-open", isOpen);
  byId("side-open").setAttribute("aria-expanded", isShown);
}

/** What the elements with data-command do; those with data-key do it at these keys, too. */
const COMMANDS = {
  move: () => change("move"), "no-game": () => change("no_game"), delete: () => change("delete"), undo: ({ dataset }) => actions.undo(dataset.id),
  all: () => selection.all(), stream: selectStream, group: (button) => selectGroup(button.closest(".group").group), none: () => (selection.clear(), toggleSide(false)),
  goto: goTo, like: showLike, history: openHistory, clear: () => setQuery(withoutFilter(query)),
  side: () => toggleSide(), ask: () => view.ask(), open: ({ dataset }) => view.openPath(dataset.path),
  previous: () => view.openIndex(view.index - 1), next: () => view.openIndex(view.index + 1),
  search: () => (toggleSide(true), byId("filters").elements.q.focus()),
  descending: () => setQuery({ ...query, descending: query.descending ? "" : "true" }),
};

function keysOf(area) {
  return [...area.querySelectorAll("[data-key]")].flatMap((button) => button.dataset.key.split(" ").map((key, at) => (
    { key, label: at ? "" : button.title, run: () => button.click() })));
}

function listen() {
  const inGrid = ({ target }) => grid.total > 0 && (target === document.body || target.id === "main" || Boolean(target.closest("#grid")));
  bindKeys([
    { key: "Arrows", label: "move in the grid; with Shift: select" },
    ...ARROWS.flatMap((key) => [false, true].map((shift) => ({ key: shift ? `Shift+${key}` : key, run: () => step(key, shift), when: inGrid }))),
    { key: "Enter", label: "open the frame", run: () => view.openIndex(grid.active), when: inGrid },
    { key: " ", label: "select the frame, or not", run: () => select(grid.active, "toggle"), when: inGrid },
    { key: "+", label: "larger pictures", run: () => resize(grid.tile + 24) },
    { key: "-", label: "smaller pictures", run: () => resize(grid.tile - 24) },
    ...keysOf(byId("dataset")),
  ]);
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-command]");
    if (button) COMMANDS[button.dataset.command](button);
  });
  byId("sort").addEventListener("change", ({ target: { value } }) => setQuery({ ...query, sort: value, descending: value === "suspicion" ? "true" : "", like: "" }));
  byId("tile-size").addEventListener("input", ({ target }) => resize(target.value));
  document.addEventListener("visibilitychange", poll);
  addEventListener("popstate", () => setQuery(readAddress()[0], false));
  setInterval(poll, POLL_MS);
}

listen();
resize(localStorage.getItem("tile") ?? (innerWidth < 640 ? 104 : 148));
await load(false);
if (path) view.openPath(path);
