/** Jobs: forms that start them, the one that runs or was chosen, and those of the past. */

import { get, post, remove } from "../base/api.js";
import { confirm } from "../base/dialogs.js";
import { byId, el, format, replace } from "../base/dom.js";
import { notify, notifyError } from "../base/notices.js";
import { showLog } from "./log.js";

const POLL_MS = 2000;
const COLOURS = { finished: "ok", failed: "danger", lost: "danger", stopped: "warning", stopping: "warning" };

let jobs = [];
let timer = 0;

const forms = document.querySelectorAll("main form");
const texts = ({ kind }) => byId(kind).dataset;
const isActive = ({ ended, state }) => !ended && state !== "lost";
const button = (text, names, click, rest) => el("button", { class: `button ${names}`, type: "button", text, on: { click }, ...rest });
const badge = ({ state }) => el("span", { class: `badge ${COLOURS[state] ?? ""}`, text: state });

async function refresh() {
  clearTimeout(timer);
  try {
    const { jobs: found, obstacles } = await get("/jobs");
    const ended = found.find(({ id }) => id === jobs.find(isActive)?.id);
    jobs = found;
    if (ended && !isActive(ended)) notify(`${texts(ended).title}: ${ended.state}`);
    const active = jobs.find(isActive);
    if (active && location.hash.length < 2) history.replaceState(null, "", `#${active.id}`);
    for (const form of forms) showObstacle(form, obstacles[form.id], active);
    showHistory(jobs.filter((job) => !isActive(job)));
    await showChosen();
  } catch (error) {
    if (error.status !== 0) notifyError(error);
  }
  if (!document.hidden) timer = setTimeout(refresh, POLL_MS);
}

function showObstacle(form, text, active) {
  form.querySelector(".obstacle").textContent = text;
  form.elements[0].disabled = text;
  form.querySelector("button").disabled = text || active;
}

async function showChosen() {
  const job = jobs.find(({ id }) => id === location.hash.slice(1));
  byId("shown").hidden = !job;
  if (!job) return;
  const { done, total, text } = job.progress;
  const { title, kept, page, result } = texts(job);
  const active = isActive(job);
  const bar = byId("shown-bar");
  bar.hidden = !active;
  if (total) Object.assign(bar, { max: total, value: Math.min(done, total) });
  else bar.removeAttribute("value");
  const counts = job.kind !== "download" && total ? ` ${format.number(done)} of ${format.number(total)}` : "";
  byId("shown-text").textContent = `started ${format.ago(job.started)} · ${active ? text + counts || "starting" : outcome(job)}`;
  if (isNew(byId("shown-actions"), job.id + job.state)) {
    replace(byId("shown-title"), title, " ", badge(job));
    byId("shown-command").textContent = job.command;
    replace(byId("shown-actions"),
      active && button("Stop", "danger", () => act(`Stop it? ${kept}`, "Stop", () => post(`/jobs/${job.id}/stop`)), { disabled: job.state === "stopping" }),
      job.state === "finished" && el("a", { class: "button", href: page + (job.options.model ? `?folder=${job.options.model}` : ""), text: result }),
      !active && el("a", { class: "button quiet", href: "#", text: "Close" }));
  }
  await showLog(job);
}

/** Return whether an area shows something else so far: what is the same must not lose the focus. */
const isNew = ({ dataset }, key) => dataset.key !== key && (dataset.key = key);

const outcome = ({ exit_code: code, meaning, message }) => (code === null ? "" : `exit code ${code}: `) + (message || meaning);

function showHistory(past) {
  const area = byId("history");
  area.hidden = !past.length;
  byId("no-history").hidden = past.length;
  if (!isNew(area, past.map(({ id, state }) => id + state).join())) return;
  replace(area.querySelector("tbody"), past.map((job) => {
    const [title, time] = [texts(job).title, format.time(job.started)];
    const cells = [el("a", { href: `#${job.id}`, text: title }), badge(job), time,
      job.ended && format.duration((new Date(job.ended) - new Date(job.started)) / 1000), outcome(job),
      button("Delete", "quiet", () => act("Delete its log? What the job made stays.", "Delete", () => remove(`/jobs/${job.id}`)), { "aria-label": `Delete: ${title} of ${time}` })];
    return el("tr", {}, cells.map((cell) => el("td", {}, cell)));
  }));
}

async function act(question, action, request) {
  if (await confirm(question, action)) await request().then(refresh, notifyError);
}

function options(form) {
  const values = {};
  for (const { name, type, value, checked } of form.elements) {
    if (type === "checkbox") values[name] = checked === (name !== "no_effect");
    else if (type === "textarea") values[name] = value.match(/.*\S.*/g) ?? [];
    else if (name && value) values[name] = type === "number" ? Number(value) : value;
  }
  return values;
}

for (const form of forms) {
  form.onsubmit = (event) => {
    event.preventDefault();
    post("/jobs", { kind: form.id, options: options(form) }).then(({ id }) => (location.hash = id), notifyError).then(refresh);
  };
}
onhashchange = () => showChosen().catch(notifyError);
document.onvisibilitychange = () => document.hidden || refresh();
refresh();
