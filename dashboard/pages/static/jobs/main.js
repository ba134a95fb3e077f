/** Jobs: forms that start them, the one that runs or was chosen, and those of the past. */

import { get, post, remove } from "../base/api.js";
import { confirm } from "../base/dialogs.js";
import { byId, el, format, replace } from "../base/dom.js";
import { bindKeys } from "../base/keys.js";
import { notify, notifyError } from "../base/notices.js";
import { showLog } from "./log.js";

const POLL_MS = 1500;
const IDLE_POLL_MS = 10000;
const TITLES = { download: "Collecting", train: "Training", check: "Check" };
const COLOURS = { finished: "ok", failed: "danger", lost: "danger", stopped: "warning", stopping: "warning", running: "" };
const KEPT = { download: "The frames saved so far stay.", train: "Finished epochs stay and can be resumed.", check: "It changes nothing." };
const RESULTS = { download: ["/dataset", "See the frames"], check: ["/dataset?suspect=true", "See the suspects"], train: ["/model", "See the model"] };

let jobs = [];
let timer = 0;

const isActive = ({ state }) => state === "running" || state === "stopping";
const button = (text, names, click, rest) => el("button", { class: `button ${names}`, type: "button", text, on: { click }, ...rest });
const badge = ({ state }) => el("span", { class: `badge ${COLOURS[state]}`, text: state });

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await get("/jobs");
    const ran = jobs.find(isActive)?.id;
    jobs = answer.jobs;
    const ended = jobs.find((job) => job.id === ran && !isActive(job));
    if (ended) notify(`${TITLES[ended.kind]}: ${ended.state}`, { kind: COLOURS[ended.state] === "danger" ? "error" : "info" });
    const active = jobs.find(isActive);
    if (active && location.hash.length < 2) history.replaceState(null, "", `#${active.id}`);
    for (const form of document.querySelectorAll("form[data-kind]")) showObstacle(form, answer.obstacles[form.dataset.kind], active);
    showChosen();
    showHistory();
  } catch (error) {
    if (error.status) notifyError(error);
  }
  if (!document.hidden) timer = setTimeout(refresh, jobs.some(isActive) ? POLL_MS : IDLE_POLL_MS);
}

function showObstacle(form, text, active) {
  const banner = form.querySelector(".obstacle");
  banner.hidden = !text;
  banner.textContent = text;
  form.querySelector("fieldset").disabled = Boolean(text);
  form.querySelector("button").disabled = Boolean(text || active);
  form.querySelector("button").title = active ? "Another job is running" : "";
}

function showChosen() {
  const job = jobs.find(({ id }) => id === location.hash.slice(1));
  byId("shown").hidden = !job;
  if (!job) return;
  const { done, total, text } = job.progress;
  replace(byId("shown-title"), TITLES[job.kind], " ", badge(job));
  byId("shown-command").textContent = job.command;
  const bar = byId("shown-bar");
  bar.hidden = !isActive(job);
  if (total) Object.assign(bar, { max: total, value: Math.min(done, total) });
  else bar.removeAttribute("value");
  const counts = job.kind !== "download" && total ? ` ${format.number(done)} of ${format.number(total)}` : "";
  byId("shown-text").textContent = `started ${format.ago(job.started)} · ${isActive(job) ? text + counts : result(job)}`;
  const [href, label] = RESULTS[job.kind];
  replace(byId("shown-actions"),
    isActive(job) && button("Stop", "danger", () => stop(job), { disabled: job.state === "stopping" }),
    job.state === "finished" && el("a", { class: "button", href: href + (job.options.model ? `?folder=${job.options.model}` : ""), text: label }),
    !isActive(job) && el("a", { class: "button quiet", href: "#", text: "Close" }));
  showLog(job);
}

function result(job) {
  if (job.state === "lost") return "its process was killed, or the machine started again";
  return `exit code ${job.exit_code}: ${job.meaning}`;
}

function showHistory() {
  const area = byId("history");
  const past = jobs.filter((job) => !isActive(job));
  const key = past.map(({ id, state }) => id + state).join();
  if (area.dataset.key === key) return; // the focus stays
  area.dataset.key = key;
  byId("no-history").hidden = past.length > 0;
  area.hidden = !past.length;
  replace(area.querySelector("tbody"), past.map((job) => el("tr", {},
    el("td", {}, el("a", { href: `#${job.id}`, title: job.command, text: TITLES[job.kind] })),
    el("td", {}, badge(job)),
    el("td", { text: format.time(job.started) }),
    el("td", { text: job.ended && format.duration((new Date(job.ended) - new Date(job.started)) / 1000) }),
    el("td", { text: result(job) }),
    el("td", {}, button("Delete", "quiet", () => forget(job), { "aria-label": `Delete: ${TITLES[job.kind]} of ${format.time(job.started)}` })))));
}

async function stop(job) {
  if (await confirm(`Stop it? ${KEPT[job.kind]}`, { action: "Stop", danger: true })) act(post(`/jobs/${job.id}/stop`));
}

async function forget(job) {
  if (await confirm("Delete the log of this job? What the job made stays.", { action: "Delete", danger: true })) act(remove(`/jobs/${job.id}`));
}

async function act(request) {
  await request.catch(notifyError);
  await refresh();
}

function options(form) {
  const values = {};
  for (const { name, type, value, checked } of form.elements) {
    if (name === "effect") values.no_effect = !checked;
    else if (name === "games") values.games = value.split("\n").filter((line) => line.trim());
    else if (type === "checkbox") values[name] = checked;
    else if (name && value) values[name] = type === "number" ? Number(value) : value;
  }
  return values;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.kind) return;
  event.preventDefault();
  location.hash = "";
  await act(post("/jobs", { kind: form.dataset.kind, options: options(form) }));
  byId("shown").scrollIntoView({ block: "nearest" });
});
window.addEventListener("hashchange", () => {
  showChosen();
  byId("shown").scrollIntoView({ block: "nearest" });
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
bindKeys([{ key: "f", label: "follow the log, or pause", run: () => byId("follow").click() }]);
refresh();
