/** Surveys: start one, follow it, and look through its results. The address names the chosen one: #id. */

import { get, post, remove, url } from "../base/api.js";
import { confirm } from "../base/dialogs.js";
import { byId, format, replace } from "../base/dom.js";
import { copyOf, fillIn } from "../live/view.js";

const ROWS = 100; // of a page of the table
const [BUSY_MS, IDLE_MS] = [2000, 15000]; // between two requests: while a survey runs, otherwise
const FIRST_PAGE = { offset: 0, sort: "", descending: false, limit: ROWS };

const [start, filters, head, view, progress] = ["start", "filters", "head", "survey", "progress"].map(byId);
let page = FIRST_PAGE;
let timer;
let asked; // the newest request for the list, and
let query; // for results: an older one may be answered later
let tabled; // the survey and the number of results that the tables show

const chosen = () => location.hash.slice(1);
const isRunning = ({ state }) => state === "running" || state === "stopping";
const share = (part, whole) => format.number(part) + (whole ? ` (${format.percent(part / whole)})` : "");

function textsOf({ state, options: { game, top_streams: top, frames, preview, languages }, progress: { done, total }, started, meaning, exit_code: code }) {
  const notes = [format.time(started), frames && `${frames} frames each`, preview && "preview images first", ...languages];
  return {
    title: game ?? `${format.number(top)} most viewed streams`,
    state,
    progress: `${format.number(done)}${total ? ` of ${format.number(total)}` : ""} streams`,
    notes: notes.filter(Boolean).join(" · "),
    meaning: code ? meaning : "",
  };
}

/** Read the list and the chosen survey, now and from then on. */
async function refresh() {
  const id = chosen();
  const own = (asked = {});
  let pause = IDLE_MS;
  try {
    const { surveys, obstacle } = await get("/surveys");
    if (own !== asked) return;
    const isBusy = surveys.some(isRunning);
    if (isBusy) pause = BUSY_MS;
    replace(byId("surveys"), surveys.map(entryOf));
    byId("obstacle").textContent = obstacle;
    byId("submit").disabled = obstacle || isBusy;
    view.hidden = !surveys.some((survey) => survey.id === id);
    if (!view.hidden) await showSurvey(await get(`/surveys/${id}`));
  } finally {
    clearTimeout(timer);
    timer = setTimeout(() => document.hidden || refresh(), pause);
  }
}

function entryOf(survey) {
  const entry = copyOf("survey-entry", textsOf(survey));
  Object.assign(entry.firstChild, { href: `#${survey.id}`, ariaCurrent: survey.id === chosen() });
  return entry;
}

async function showSurvey(survey) {
  const { id, state, progress: { done, total }, summary } = survey;
  const { streams, known, unknown, failed, mismatches, compared, games } = summary;
  if (id !== chosen()) return;
  Object.assign(view.dataset, { state, streams });
  fillIn(view, {
    ...textsOf(survey),
    streams: format.number(streams),
    known: share(known, streams),
    unknown: share(unknown, streams),
    failed: share(failed, streams),
    mismatches: share(mismatches, compared),
  });
  if (total) Object.assign(progress, { max: total, value: done });
  for (const kind of ["csv", "parquet"]) byId(kind).href = url(`/surveys/${id}/results.${kind}`);
  if (tabled === id + streams) return;
  tabled = id + streams;
  replace(byId("games-body"), games.map(({ name, streams: count, mismatches: others }) =>
    copyOf("game-row", { name, count, bar: count / games[0].streams, others: share(others, count) })));
  const { value } = filters.elements.game;
  replace(filters.elements.game, new Option("All", ""), games.map((game) => new Option(game.name, game.id)));
  filters.elements.game.value = value;
  await showResults();
}

/** Read a page of the table. */
async function showResults(values) {
  page = { ...page, ...values };
  const own = (query = { ...Object.fromEntries(new FormData(filters)), ...page });
  const { total, results } = await get(`/surveys/${chosen()}/results`, own);
  if (own !== query) return;
  const end = page.offset + results.length;
  replace(byId("results"), results.map(rowOf));
  byId("caption").textContent = total ? `Streams ${page.offset + 1} to ${end} of ${format.number(total)}` : "No stream matches.";
  byId("previous").disabled = !page.offset;
  byId("next").disabled = end >= total;
  for (const cell of head.children) {
    const isSorted = cell.firstChild.dataset.sort === page.sort;
    cell.ariaSort = !isSorted ? "none" : page.descending ? "descending" : "ascending";
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
    match: { true: "≠ differs", false: "✓ same" }[mismatch],
  });
  Object.assign(row.dataset, { known, mismatch });
  return row;
}

start.onsubmit = async (event) => {
  event.preventDefault();
  const { of, game, top_streams: top, frames, languages, preview } = start.elements;
  const body = {
    game: of.value === "game" ? game.value : null,
    top_streams: Number(top.value),
    frames: Number(frames.value) || null,
    preview: preview.checked,
    languages: languages.value.toLowerCase().match(/[^\s,]+/g) ?? [],
  };
  location.hash = (await post("/surveys", body)).id;
};
start.oninput = () => {
  const { of, game } = start.elements;
  game.disabled = game.parentNode.hidden = of.value !== "game";
};
byId("stop").onclick = () => post(`/surveys/${chosen()}/stop`).then(refresh);
byId("delete").onclick = async () => {
  const isSure = await confirm("The results of this survey will be deleted.", { action: "Delete", danger: true });
  if (isSure) remove(`/surveys/${chosen()}`).then(refresh);
};
head.onclick = ({ target: { dataset: { sort } } }) => {
  if (sort) showResults({ sort, offset: 0, descending: sort === page.sort && !page.descending });
};
filters.oninput = () => showResults({ offset: 0 });
filters.onsubmit = (event) => event.preventDefault();
byId("previous").onclick = () => showResults({ offset: page.offset - ROWS });
byId("next").onclick = () => showResults({ offset: page.offset + ROWS });
onhashchange = async () => {
  filters.reset();
  page = FIRST_PAGE;
  await refresh();
  view.scrollIntoView({ block: "nearest" });
};
document.onvisibilitychange = () => document.hidden || refresh();

/** Suggest the games of the dataset and of the model; the page works without them. */
async function suggestGames() {
  const answers = await Promise.allSettled([get("/dataset"), get("/model")]);
  const games = answers.flatMap(({ value }) => value?.games ?? value?.classes ?? []);
  replace(byId("games"), [...new Set(games.map(({ name }) => name))].map((name) => new Option(name)));
}

suggestGames();
refresh();
