/** The page of the dataset: shows what the query says, follows the server, takes keys and buttons. */

import { get } from "/static/base/api.js";
import { ask } from "/static/base/dialogs.js";
import { byId, format } from "/static/base/dom.js";
import { bindKeys } from "/static/base/keys.js";
import { notifyError } from "/static/base/notices.js";
import { change as changeFrames, hooks, openHistory, undo } from "./actions.js";
import { FrameView } from "./frame.js";
import { Frames } from "./frames.js";
import { Grid } from "./grid.js";
import { Panel } from "./panel.js";
import { readAddress, toFilter, withoutFilter, writeAddress } from "./query.js";
import { Selection } from "./selection.js";

let [query, openAtFirst] = readAddress();
let [version, loads, ranges] = [0, 0, 0];
let latest;

const selection = new Selection(showSelection);
const panel = new Panel(setQuery);
const grid = new Grid(selection, panel.nameOf, (index) => view.openIndex(index), select);
const view = new FrameView(grid, panel.nameOf, (scope) => bindKeys(keysOf(scope), { scope }),
  (path) => writeAddress(query, path, false));
hooks.reload = () => load(true);

/** isStaying: where the user is. former: the query to go back to if the server refuses this one. */
const load = (isStaying, former) => (latest = show(isStaying, former, ++loads));

async function show(isStaying, former, current) {
  const next = new Frames(query, onPage);
  try {
    const { index: top, path } = isStaying ? await next.find(...anchors()) : { index: null };
    const groups = query.sort === "stream" ? get("/dataset/groups", query) : null;
    const [summary, page, answer] = await Promise.all([get("/dataset"), next.load(top < 0 ? grid.view().first : top), groups]);
    if (current !== loads) return latest;
    grid.frames?.close();
    version = summary.version;
    panel.show(summary, query);
    showState(summary, page.total);
    grid.show(next, page.total, answer?.groups, top, grid.frames?.indexOf(path));
    showSelection();
    if (view.path) view.openPath(view.path, true);
  } catch (error) {
    if (!former || !grid.frames) return showBanner(error);
    notifyError(error);
    writeAddress((query = former), view.path, false);
    panel.show(panel.summary, query);
  } finally {
    if (grid.frames !== next) next.close();
  }
}

function anchors() {
  const { first, last } = grid.view();
  const paths = Array.from({ length: last - first }, (_, at) => grid.frames?.at(first + at)?.path);
  return paths.filter((shown) => shown && !selection.has(shown)).slice(0, 5);
}

function onPage(answer) {
  if (version && answer.version !== version) poll();
  else grid.render();
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
  if (JSON.stringify(toFilter(changed)) !== JSON.stringify(toFilter(query))) selection.set([]);
  const former = query;
  query = changed;
  writeAddress(query, view.path, isNew);
  return load(false, former);
}

const set = (id, values) => Object.assign(byId(id), values);
const showBanner = (error) => set("banner", { hidden: !error, textContent: error?.detail ?? error });

function showState({ message, frames: all }, total) {
  showBanner(message);
  set("no-frames", { hidden: all });
  set("no-matches", { hidden: total || !all });
  set("grid", { hidden: !total, className: `grid ${query.sort}` });
  set("count", { textContent: (total === all ? "" : `${format.number(total)} of `) + format.plural(all, "frame") });
  set("clear", { hidden: !Object.keys(toFilter(query)).length });
  set("descending", { ariaPressed: Boolean(query.descending) });
}

function showSelection() {
  const { count } = selection;
  selection.total = grid.total;
  set("actions", { hidden: !count });
  set("selected", { textContent: `${format.number(count)} selected` });
  set("select-all", { hidden: count >= grid.total });
  grid.render();
}

/** mode: "set", "toggle" or "range". */
async function select(index, mode) {
  const current = ++ranges;
  const from = mode === "range" ? selection.anchor : (selection.anchor = index);
  const paths = await grid.frames.paths(Math.min(from, index), Math.max(from, index) + 1);
  if (current === ranges) selection[mode](paths);
}

async function selectGroup({ game_id: game, login }) {
  selection.toggle(await new Frames({ ...query, game, login }).paths(0, grid.total));
}

async function change(action) {
  const { path, index } = view;
  const [body, count] = path ? [{ frames: [path] }, 1] : [selection.body(toFilter(query)), selection.count];
  const { frames } = grid;
  const suggested = frames.at(frames.indexOf(body.frames?.[0]))?.suggested;
  if (!count || !(await changeFrames({ ...body, action, version }, count, panel.summary.games, suggested))) return;
  if (path) return view.openIndex(index);
  selection.set([]);
  grid.activate(grid.active);
}

async function goTo() {
  const text = await ask("Go to a frame", { label: `Its place, 1 to ${format.number(grid.total)}, or 50%`, action: "Go" });
  const place = Number.parseFloat(text?.replaceAll(",", ""));
  if (place >= 0) grid.activate(Math.round(text.endsWith("%") ? (place / 100) * (grid.total - 1) : place - 1));
}

function sortBy(sort) {
  const like = sort === "likeness" ? view.path || grid.frame?.path : "";
  view.dialog.close();
  if (like === undefined) set("sort", { value: query.sort });
  else setQuery({ ...query, sort, like, descending: sort === "suspicion" || "" });
}

async function step(key, isRange) {
  if (isRange && !selection.count) await select(grid.active, "set");
  grid.step(key);
  if (isRange) select(grid.active, "range");
}

function resize(tile) {
  localStorage.tile = tile;
  grid.resize(Number(set("tile-size", { value: tile }).value));
}

const toggleSide = (isOpen) => set("side-open", { ariaExpanded: byId("dataset").classList.toggle("side-open", isOpen) });

// By data-command; elements with data-key are clicked by these keys.
const COMMANDS = {
  change: ({ value }) => change(value),
  undo: ({ dataset }) => undo(dataset.id),
  all: () => selection.set([], true),
  stream: () => grid.frame && selectGroup(grid.frame),
  group: (button) => selectGroup(button.closest(".group").group),
  none: () => (selection.set([]), toggleSide(false)),
  goto: goTo,
  like: () => sortBy("likeness"),
  history: openHistory,
  clear: () => setQuery(withoutFilter(query)),
  side: () => toggleSide(),
  ask: () => view.ask(),
  open: ({ dataset }) => view.openPath(dataset.path),
  beside: ({ value }) => view.openIndex(view.index + Number(value)),
  zoom: ({ value }) => resize(grid.tile + Number(value)),
  search: () => (toggleSide(true), byId("filters").q.focus()),
  descending: () => setQuery({ ...query, descending: !query.descending || "" }),
};

const keysOf = (area) => [...area.querySelectorAll("[data-key]")].flatMap((button) => button.dataset.key.split(" ").map((key, at) => (
  { key, label: at ? "" : button.title, run: () => button.click() })));

const when = ({ target }) => grid.total > 0 && target.matches("body, main, .tile");
bindKeys([
  ..."ArrowLeft ArrowRight ArrowUp ArrowDown PageUp PageDown Home End".split(" ").flatMap((key) => (
    ["", "Shift+"].map((shift) => ({ key: shift + key, run: () => step(key, shift), when })))),
  { key: "Arrows", label: "move in the grid; with Shift: select" },
  { key: "Enter", label: "open the frame", run: () => view.openIndex(grid.active), when },
  { key: " ", label: "select the frame, or not", run: () => select(grid.active, "toggle"), when },
  ...keysOf(byId("dataset")),
]);
onclick = ({ target }) => {
  const button = target.closest("[data-command]");
  if (button) COMMANDS[button.dataset.command](button);
};
oninput = ({ target: { id, value } }) => {
  if (id === "sort") sortBy(value);
  if (id === "tile-size") resize(value);
};
document.onvisibilitychange = poll;
onunhandledrejection = (event) => {
  if (event.reason.name !== "AbortError" && event.reason.status === undefined) return; // a defect
  event.preventDefault();
  notifyError(event.reason);
};
onpopstate = () => setQuery(readAddress()[0], false);
setInterval(poll, 4000);

resize(localStorage.tile ?? (innerWidth < 640 ? 104 : 180));
await load(false);
if (openAtFirst) view.openPath(openAtFirst);
