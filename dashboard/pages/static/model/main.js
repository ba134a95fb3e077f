/** The model page: what is loaded, its reports and card, the models beside it. */

import { get } from "../base/api.js";
import { byId, el, format, replace } from "../base/dom.js";
import { notifyError } from "../base/notices.js";
import { startAsking } from "./ask.js";
import { markdown } from "./card.js";
import { cell, fill, percent, showReport } from "./report.js";

const folder = new URLSearchParams(location.search).get("folder");

startAsking();
load().catch(notifyError);

async function load() {
  const [model, { reports, message }, { models }, card] = await Promise.all(
    ["/model", "/model/metrics", "/models", "/model/card"].map((path) => get(path, { folder })));
  showModel(model);
  replace(byId("models-table"), models.map(toRow));
  replace(byId("card"), card.text ? markdown(card.text) : card.message);
  byId("report-of").textContent = message;
  for (const part of document.querySelectorAll("#report > div, #numbers")) part.hidden = !reports.length;
  byId("kinds").hidden = reports.length < 2;
  const choose = (report) => {
    for (const button of byId("kinds").children) button.setAttribute("aria-pressed", button.dataset.kind === report.kind);
    return showReport(report, folder);
  };
  for (const button of byId("kinds").children) {
    button.addEventListener("click", () => choose(reports.find(({ kind }) => kind === button.dataset.kind)).catch(notifyError));
  }
  if (reports.length) await choose(reports.find((report) => report.is_current) ?? reports[0]);
}

function showModel(model) {
  const { calibration, current, files } = model;
  byId("name").textContent = current ? "" : model.name;
  byId("in-use").hidden = !current;
  byId("other").hidden = current;
  byId("shipped").hidden = !model.shipped;
  byId("message").textContent = model.message || (model.changed ? "The files have changed; the next recognition loads them." : "");
  byId("message").hidden = !byId("message").textContent;
  fill("facts", {
    architecture: model.architecture,
    trained: model.trained && format.time(model.trained),
    games: model.classes.length,
    images: model.img_size && `${model.img_size} × ${model.img_size} pixels`,
    file: model.file,
    loaded: current && (model.loaded_at ? format.time(model.loaded_at) : "at the first recognition"),
    frames: calibration && (calibration.threshold === null ? "none" : `${calibration.score.replaceAll("_", " ")} below ${calibration.threshold.toFixed(2)}`),
    streams: calibration?.stream_threshold && `mean probability below ${percent(calibration.stream_threshold)}`,
    temperature: calibration?.temperature.toFixed(3),
  });
  byId("files").hidden = !files.length;
  replace(byId("files-table"), files.map((file) =>
    el("tr", {}, el("td", { text: file.name }), cell(format.bytes(file.bytes)), el("td", { text: format.time(file.modified) }))));
}

function toRow({ name, current, message, classes, bytes, modified, training, evaluation }) {
  const href = current ? "/model" : `/model?folder=${encodeURIComponent(name)}`;
  return el("tr", {},
    el("th", { scope: "row" }, el("a", { class: "name", href, text: name }), current && " (in use)", message && el("p", { class: "muted", text: message })),
    [classes, percent(training?.accuracy_by_frame), percent(training?.accuracy_by_stream), percent(training?.macro_f1),
      percent(evaluation?.accuracy_by_frame)].map((text) => cell(text)),
    el("td", { class: "name", text: evaluation?.folder }), cell(format.bytes(bytes)), el("td", { text: format.time(training?.date ?? modified) }));
}
