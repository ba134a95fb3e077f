/** Changes of frames: to another game, to the trash, and back; the list of them. */

import { get, post } from "/static/base/api.js";
import { choose, confirm } from "/static/base/dialogs.js";
import { byId, el, format, replace } from "/static/base/dom.js";
import { notify, notifyError } from "/static/base/notices.js";

const MANY = 5000; // frames that ask before they go
const ACTIONS = { move: "Move to another game", no_game: "Mark as no game", delete: "Delete" };
const DONE = { no_game: "marked as no game", delete: "deleted" };

export class Actions {
  #done = []; // ids of this page's changes, the last one at the end
  #isBusy = false;

  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Resolve to whether the change was made. */
  async change(body, count, games, suggested) {
    const frames = format.plural(count, "frame");
    const action = ACTIONS[body.action];
    if (count > MANY && !(await confirm(`${action}: ${frames}?`, { action }))) return false;
    if (body.action !== "move") return this.#attempt(() => this.#send(body, count, DONE[body.action]));
    const items = games.map(({ id, name, frames: held }) => ({ value: id, label: name, note: format.number(held) }));
    items.sort((one, other) => (other.value === suggested) - (one.value === suggested));
    const chosen = await choose(`Move ${frames} to`, items, { allowNew: "New game" });
    return chosen !== null && this.#attempt(async () => {
      const { id, name } = chosen.name ? await post("/dataset/games", chosen) : games.find((game) => game.id === chosen);
      return this.#send({ ...body, game_id: id }, count, `moved to ${name}`);
    });
  }

  undo(id = this.#done.at(-1)) {
    if (!id) return notify("Nothing to undo here. The list of changes has those of others.");
    return this.#attempt(async () => {
      const { moved, trashed } = await post(`/dataset/changes/${id}/undo`);
      this.#done = this.#done.filter((other) => other !== id);
      notify(`Undone: ${format.plural(moved + trashed, "frame")}.`);
    });
  }

  async #send(body, count, what) {
    const { id, moved, trashed } = await post("/dataset/changes", body);
    const went = moved + trashed;
    const rest = count > went ? ` ${format.number(count - went)} were gone, or there already.` : "";
    if (id) this.#done.push(id);
    notify(`${format.plural(went, "frame")} ${what}.${rest}`, { action: id && { label: "Undo", run: () => this.undo(id) } });
    return true;
  }

  async #attempt(run) {
    if (this.#isBusy) return false;
    this.#isBusy = true;
    try {
      return await run();
    } catch (error) {
      notifyError(error);
      return false;
    } finally {
      this.#isBusy = false;
      await this.onChange();
    }
  }
}

/** Show the latest changes, and what they brought to the trash. */
export async function openHistory() {
  const dialog = byId("history");
  if (!dialog.open) dialog.showModal();
  dialog.append(byId("notices")); // what lies outside a modal dialog is inert
  dialog.onclose = () => document.body.append(byId("notices"));
  try {
    const [{ changes }, { total, frames }] = await Promise.all([get("/dataset/changes", { limit: 100 }), get("/dataset/trash", { limit: 500 })]);
    replace(byId("changes"), changes.length ? changes.map(toRow) : el("li", { class: "muted", text: "Nothing has been changed yet." }));
    replace(byId("trash"), frames.map(({ picture, path, reason, login }) => el("li", {}, el("img", { src: picture, alt: path, title: path, loading: "lazy" }),
      el("span", { class: "name clip", text: login }), el("span", { class: "muted clip", text: reason }))));
    const shown = total > frames.length ? `The latest ${frames.length} of ` : "";
    byId("trash-count").textContent = total ? `${shown}${format.plural(total, "frame")}. Undo a change to bring its frames back.` : "The trash is empty.";
  } catch (error) {
    notifyError(error);
  }
}

function toRow({ id, summary, time, is_undone: isUndone }) {
  const button = { class: "button", type: "button", text: "Undo", "aria-label": `Undo: ${summary}`, dataset: { command: "undo", id } };
  return el("li", { class: "row between" }, el("span", { class: "name", text: summary }),
    el("span", { class: "muted", text: isUndone ? "undone" : format.ago(time) }), isUndone || el("button", button));
}
