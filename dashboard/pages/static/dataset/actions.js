/** Changes of frames, undo, and the list of changes. */

import { get, post } from "/static/base/api.js";
import { choose } from "/static/base/dialogs.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notify, notifyError } from "/static/base/notices.js";
import { showModal } from "./frame.js";

const DONE = { no_game: "marked as no game", delete: "deleted" };

const done = new Map(); // id of a change of this page → what closes its notice
let isBusy = false;
export const hooks = {}; // reload()

/** Resolve to whether frames changed. */
export async function change(body, count, games, suggested) {
  if (body.action !== "move") return attempt(() => send(body, count, DONE[body.action]));
  const items = games.map((game) => ({ value: game, label: game.name, note: format.number(game.frames) }));
  items.sort((one, other) => (other.value.id === suggested) - (one.value.id === suggested));
  const chosen = await choose(`Move ${format.plural(count, "frame")} to`, items, { allowNew: "New game" });
  return chosen !== null && attempt(async () => {
    const { id, name } = chosen.id ? chosen : await post("/dataset/games", chosen);
    return send({ ...body, game_id: id }, count, `moved to ${name}`);
  });
}

/** id: of a change; by default the last one of this page, or of the dataset. */
export const undo = (id = [...done.keys()].at(-1) ?? "last") => attempt(async () => {
  done.get(id)?.();
  done.delete(id);
  const { moved, trashed, summary } = await post(`/dataset/changes/${id}/undo`);
  notify(`Undone “${summary.slice(6)}”: ${format.plural(moved + trashed, "frame")}.`);
});

async function send(body, count, what) {
  const { id, moved, trashed } = await post("/dataset/changes", body);
  const went = moved + trashed;
  const rest = count > went ? ` ${format.number(count - went)} were gone, or there already.` : "";
  const close = notify(`${format.plural(went, "frame")} ${what}.${rest}`, { action: id && { label: "Undo", run: () => undo(id) } });
  if (id) done.set(id, close);
  return true;
}

async function attempt(run) {
  if (isBusy) return false;
  isBusy = true;
  try {
    return await run();
  } catch (error) {
    notifyError(error);
  } finally {
    isBusy = false;
    await hooks.reload();
    if (byId("history").open) openHistory();
  }
}

/** Show the latest changes, and the trash. */
export async function openHistory() {
  showModal(byId("history"));
  const [{ changes }, { total, frames }] = await Promise.all([get("/dataset/changes", { limit: 100 }), get("/dataset/trash", { limit: 500 })]);
  replace(byId("changes"), changes.map(toRow));
  replace(byId("trash"), frames.map(({ picture, path, reason, login }) => el("li", {}, el("img", { src: picture, alt: path, title: path, loading: "lazy" }),
    el("span", { text: login }), el("span", { text: reason }))));
  byId("trash-count").textContent = total ? `${format.plural(total, "frame")}, latest first.` : "The trash is empty.";
}

function toRow({ id, summary, time, undoes, is_undone: isUndone }) {
  const button = { class: "button", text: "Undo", "aria-label": `Undo: ${summary}`, dataset: { command: "undo", id } };
  return el("li", {}, el("span", { class: "name", text: summary }),
    el("span", { class: "muted", text: isUndone ? "undone" : format.ago(time) }), !isUndone && !undoes && el("button", button));
}
