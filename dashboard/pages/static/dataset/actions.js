/** Changes of frames, undo, and the list of changes. */

import { get, post } from "/static/base/api.js";
import { choose } from "/static/base/dialogs.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notify, notifyError } from "/static/base/notices.js";

const DONE = { no_game: "marked as no game", delete: "deleted" };

let done = []; // ids of this page's changes, the last one at the end
let isBusy = false;
let reload;

export const setReload = (run) => (reload = run);

/** Resolve to whether frames changed. */
export async function change(body, count, games, suggested) {
  if (body.action !== "move") return attempt(() => send(body, count, DONE[body.action]));
  const items = games.map(({ id, name, frames: held }) => ({ value: id, label: name, note: format.number(held) }));
  items.sort((one, other) => (other.value === suggested) - (one.value === suggested));
  const chosen = await choose(`Move ${format.plural(count, "frame")} to`, items, { allowNew: "New game" });
  return chosen !== null && attempt(async () => {
    const { id, name } = chosen.name ? await post("/dataset/games", chosen) : games.find((game) => game.id === chosen);
    return send({ ...body, game_id: id }, count, `moved to ${name}`);
  });
}

export function undo(id = done.at(-1)) {
  if (!id) return notify("Nothing to undo.");
  return attempt(async () => {
    const { moved, trashed } = await post(`/dataset/changes/${id}/undo`);
    done = done.filter((other) => other !== id);
    notify(`Undone: ${format.plural(moved + trashed, "frame")}.`);
  });
}

async function send(body, count, what) {
  const { id, moved, trashed } = await post("/dataset/changes", body);
  const went = moved + trashed;
  const rest = count > went ? ` ${format.number(count - went)} were gone, or there already.` : "";
  if (id) done.push(id);
  notify(`${format.plural(went, "frame")} ${what}.${rest}`, { action: id && { label: "Undo", run: () => undo(id) } });
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
    await reload();
    if (byId("history").open) openHistory();
  }
}

/** Show the latest changes, and the trash. */
export async function openHistory() {
  const dialog = byId("history");
  if (!dialog.open) dialog.showModal();
  dialog.append(byId("notices")); // what lies outside a modal dialog is inert
  dialog.onclose = () => document.body.append(byId("notices"));
  const [{ changes }, { total, frames }] = await Promise.all([get("/dataset/changes", { limit: 100 }), get("/dataset/trash", { limit: 500 })]);
  replace(byId("changes"), changes.length ? changes.map(toRow) : el("li", { class: "muted", text: "Nothing has been changed yet." }));
  replace(byId("trash"), frames.map(({ picture, path, reason, login }) => el("li", {}, el("img", { src: picture, alt: path, title: path, loading: "lazy" }),
    el("span", { class: "name clip", text: login }), el("span", { class: "muted clip", text: reason }))));
  byId("trash-count").textContent = total ? `${format.plural(total, "frame")}, latest first. Undo a change to bring its frames back.` : "The trash is empty.";
}

function toRow({ id, summary, time, is_undone: isUndone }) {
  const button = { class: "button", text: "Undo", "aria-label": `Undo: ${summary}`, dataset: { command: "undo", id } };
  return el("li", { class: "row between" }, el("span", { class: "name", text: summary }),
    el("span", { class: "muted", text: isUndone ? "undone" : format.ago(time) }), isUndone || el("button", button));
}
