/** Surveys: start one, follow it, and look through its results. The address names the chosen one: #id. */

import { get, post, remove, url } from "../base/api.js";
import { confirm } from "../base/dialogs.js";
import { byId, format, replace } from "../base/dom.js";
import { bindKeys } from "../base/keys.js";
import { notifyError } from "../base/notices.js";
import { copyOf, fillIn } from "../live/view.js";

const ROWS = 100; // of a page of the table
const [BUSY_MS, IDLE_MS] = [2000, 15000]; // between two requests: while a survey runs, otherwise
const FIRST_PAGE = { offset: 0, sort: "", descending: false };

const [start, filters, head, view] = ["start", "filters", "head", "survey"].map(byId);
let page = FIRST_PAGE;
let timer;
let tabled; // the survey and the number of results that the tables show

const chosen = () => location.hash.slice(1);
const isRunning = ({ state }) => state === "running" || state === "stopping";
const share = (part = 0, whole = 0) => format.number(part) + (whole ? ` (${format.percent(part / whole)})` : "");

function textsOf({ state, options, progress: { done, total }, started, meaning, exit_code: code }) {
  const { game, top_streams: top, frames, preview, languages } = options;
  return {
    title: game ?? `${format.number(top)} most viewed streams`,
    state,
    progress: `${format.number(done)}${total ? ` of ${format.number(total)}` : ""} streams`,
    created: format.time(started),
    options: [frames && `${frames} frames each`, preview && "preview images first", ...languages].filter(Boolean).join(" · "),
    meaning: code ? meaning : "",
  };
}

/** Read the list and the chosen survey, now and from then on. */
async function refresh() {
  const id = chosen();
  let pause = IDLE_MS;
  try {
    const { surveys, obstacle } = await get("/surveys");
    const isBusy = surveys.some(isRunning);
    if (isBusy) pause = BUSY_MS;
    replace(byId("surveys"), surveys.map(entryOf));
    byId("obstacle").textContent = obstacle;
    start.querySelector(".primary").disabled = obstacle || isBusy;
    view.hidden = !surveys.some((survey) => survey.id === id);
    if (!view.hidden) await showSurvey(await get(`/surveys/${id}`));
  } catch (error) {
    notifyError(error);
  }
  clearTimeout(timer);
  timer = setTimeout(() => document.hidden || refresh(), pause);
}

function entryOf(survey) {
  const entry = copyOf("survey-entry", textsOf(survey));
  entry.firstChild.href = `#${survey.id}`;
  if (survey.id === chosen()) entry.firstChild.ariaCurrent = "true";
  return entry;
}

async function showSurvey(survey) {
  const { id, summary, progress } = survey;
  if (id !== chosen()) return;
  const { streams = 0, known, unknown, failed, mismatches, compared, games = [] } = summary ?? {};
  fillIn(view, {
    ...textsOf(survey),
    streams: format.number(streams),
    known: share(known, streams),
    unknown: share(unknown, streams),
    failed: share(failed, streams),
    mismatches: share(mismatches, compared),
  });
  byId("progress").hidden = byId("stop").hidden = !isRunning(survey);
  byId("delete").hidden = isRunning(survey);
  if (progress.total) Object.assign(byId("progress"), { max: progress.total, value: progress.done });
  for (const kind of ["csv", "parquet"]) Object.assign(byId(kind), { href: url(`/surveys/${id}/results.${kind}`), hidden: !streams });
  if (tabled === `${id} ${streams}`) return;
  tabled = `${id} ${streams}`;
  showGames(games);
  await showResults();
}

function showGames(games) {
  byId("by-game").hidden = !games.length;
  replace(byId("games-body"), games.map(({ name, streams, mismatches }) => {
    const row = copyOf("game-row", { name, streams: format.number(streams), mismatches: share(mismatches, streams) });
    Object.assign(row.querySelector("meter"), { max: games[0].streams, value: streams });
    return row;
  }));
  const select = filters.elements.game;
  const { value } = select;
  replace(select, select.options[0], games.map(({ id, name }) => new Option(name, id)));
  select.value = value;
}

/** Read a page of the table. */
async function showResults() {
  const id = chosen();
  const query = { ...Object.fromEntries(new FormData(filters)), ...page, limit: ROWS };
  const { total, results } = await get(`/surveys/${id}/results`, query);
  if (id !== chosen()) return;
  replace(byId("results"), results.map(rowOf));
  byId("caption").textContent = total ? `Streams ${page.offset + 1} to ${page.offset + results.length} of ${format.number(total)}` : "No stream matches.";
  byId("previous").disabled = !page.offset;
  byId("next").disabled = page.offset + ROWS >= total;
  for (const button of head.querySelectorAll("button")) {
    const order = page.descending ? "descending" : "ascending";
    button.parentNode.ariaSort = button.dataset.sort === page.sort ? order : "none";
  }
}

function rowOf({ source, known, game, closest, confidence, score, frames, category, mismatch, reason, message }) {
  const row = copyOf("row", {
    source,
    game: known ? game.name : reason ? `Failed: ${reason}` : "Unknown",
    note: known ? "" : message ?? `closest: ${closest.name}`,
    confidence: reason ? "" : format.percent(confidence),
    score: reason ? "" : `${score.toFixed(1)} of ${frames}`,
    category: category?.name,
    match: mismatch === null ? "" : mismatch ? "≠ differs" : "✓ same",
  });
  Object.assign(row.dataset, { known, mismatch });
  return row;
}

/** Show another part of the results. */
function turn(values) {
  page = { ...page, ...values };
  showResults().catch(notifyError);
}

/** Do something with surveys, then read them again. */
const act = (done) => done.then(refresh, notifyError);

start.addEventListener("submit", (event) => {
  event.preventDefault();
  const { of, game, top_streams: top, frames, languages, preview } = start.elements;
  const body = {
    game: of.value === "game" ? game.value.trim() : null,
    top_streams: Number(top.value),
    frames: Number(frames.value) || null,
    preview: preview.checked,
    languages: languages.value.toLowerCase().match(/[^\s,]+/g) ?? [],
  };
  act(post("/surveys", body).then(({ id }) => (location.hash = id)));
});
start.addEventListener("input", () => {
  const { of, game } = start.elements;
  game.disabled = game.parentNode.hidden = of.value !== "game";
});
byId("stop").addEventListener("click", () => act(post(`/surveys/${chosen()}/stop`)));
byId("delete").addEventListener("click", async () => {
  const isSure = await confirm("The results of this survey will be deleted.", { action: "Delete", danger: true });
  if (isSure) act(remove(`/surveys/${chosen()}`));
});
head.addEventListener("click", ({ target: { dataset: { sort } } }) =>
  sort && turn({ sort, offset: 0, descending: sort === page.sort && !page.descending }));
filters.addEventListener("input", () => turn({ offset: 0 }));
filters.addEventListener("submit", (event) => event.preventDefault());
byId("previous").addEventListener("click", () => turn({ offset: page.offset - ROWS }));
byId("next").addEventListener("click", () => turn({ offset: page.offset + ROWS }));
addEventListener("hashchange", async () => {
  filters.reset();
  page = FIRST_PAGE;
  await refresh();
  view.scrollIntoView({ block: "nearest" });
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
bindKeys([{ key: "m", label: "mismatches only", run: () => filters.elements.mismatch.click() }]);

/** Suggest the games of the dataset and of the model; the page works without them. */
async function suggestGames() {
  const answers = await Promise.allSettled([get("/dataset"), get("/model")]);
  const games = answers.flatMap(({ value }) => value?.games ?? value?.classes ?? []);
  replace(byId("games"), [...new Set(games.map(({ name }) => name))].map((name) => new Option(name)));
}

suggestGames();
refresh();
