/** A report: numbers, games, confusion matrix and worst frames. */

import { get } from "../base/api.js";
import { byId, el, format, replace } from "../base/dom.js";

const MAX_CLASSES = 120; // a larger matrix is no help; the pairs say what matters

/** Return a fraction as per cent, or a dash. */
export const percent = (value) => (value === null || value === undefined ? "–" : format.percent(value, 1));
/** Return a cell with a number. */
export const cell = (text, properties) => el("td", { class: "number", text, ...properties });

/** Fill the values of a list of terms by their data-key; hide those without one. */
export function fill(id, values) {
  for (const node of byId(id).querySelectorAll("[data-key]")) {
    node.textContent = values[node.dataset.key];
    node.parentNode.hidden = !values[node.dataset.key] && values[node.dataset.key] !== 0;
  }
}

/** Show a report of GET /model/metrics. */
export async function showReport(report, folder) {
  const on = report.folder ? `the images in ${report.folder}` : "of streamers that it had not seen";
  byId("report-of").textContent = `${format.number(report.frames)} frames of ${format.plural(report.streams, "stream")}, ${on}; ${format.time(report.date)}`
    + (report.is_current === false ? ". It was another model: its file has changed since." : "");
  const numbers = [...byId("numbers").querySelectorAll("dd")].map(({ dataset: { key } }) => [key, report[key] === null ? null : percent(report[key])]);
  fill("numbers", Object.fromEntries(numbers));
  startSorting(report.games);
  const query = { report: report.kind, folder };
  const [confusion, worst] = await Promise.all([get("/model/confusion", query), get("/model/worst", query)]);
  showConfusion(confusion);
  showWorst(worst);
}

function startSorting(games) {
  const heads = [...byId("games-head").children];
  const show = (head, sign) => {
    const { key } = head.dataset;
    for (const each of heads) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const compare = ({ [key]: a }, { [key]: b }) => (key === "name" ? sign * a.localeCompare(b) : (a === null) - (b === null) || sign * (a - b));
    replace(byId("games-table"), games.sort(compare).map((game) => el("tr", {}, heads.map((each) => toCell(each, game)))));
  };
  for (const head of heads) {
    head.hidden = games.every((game) => game[head.dataset.key] === null);
    head.firstChild.onclick = () => show(head, head.ariaSort === "ascending" ? -1 : 1);
  }
  show(heads[3], 1);
}

function toCell({ dataset: { key }, hidden }, game) {
  const value = game[key];
  if (key === "name") return el("th", { scope: "row", class: "name", text: game.known ? value : `${value} (not a class)` });
  if (key === "frames" || key === "streamers") return cell(format.number(value));
  return cell(percent(value), { hidden, class: "number bar", style: { "--value": value } });
}

function showConfusion({ classes, counts, pairs }) {
  replace(byId("pairs"), pairs.map(({ game, predicted, frames, fraction }) => el("li", {},
    el("span", { class: "name", text: game.name }), " taken for ", el("span", { class: "name", text: predicted.name }),
    el("span", { class: "muted", text: ` ${format.plural(frames, "frame")}, ${format.percent(fraction)}` }))));
  byId("matrix-panel").hidden = classes.length > MAX_CLASSES;
  if (classes.length > MAX_CLASSES) return;
  const order = [...classes.keys()].sort((a, b) => classes[a].name.localeCompare(classes[b].name));
  const head = (at, scope) => el("th", { scope }, el("span", { class: "name", text: classes[at].name }));
  replace(byId("matrix-head"), el("td"), order.map((at) => head(at, "col")));
  replace(byId("matrix"), order.map((row) => {
    const total = counts[row].reduce((sum, count) => sum + count, 0);
    return el("tr", {}, head(row, "row"), order.map((column) => {
      const count = counts[row][column];
      return el("td", !count ? {} : {
        class: row === column ? "right" : "wrong", style: { "--heat": Math.sqrt(count / total) }, text: Math.round((100 * count) / total) || "<1",
        title: `${classes[row].name} taken for ${classes[column].name}: ${count} of ${total}` });
    }));
  }));
}

function showWorst({ frames, message }) {
  byId("worst-note").textContent = message || (frames.length ? "The model was surest of a wrong game here." : "Every frame was recognised.");
  replace(byId("worst"), frames.map(({ picture, path, game, predicted, confidence }) => el("li", {},
    picture && el("img", { src: picture, alt: path, loading: "lazy" }),
    el("p", { class: "name", text: game.name }),
    el("p", { class: "muted name", text: `taken for ${predicted.name} ${format.percent(confidence)}` }))));
}
