/** Asking what a picture, a clip or an address shows. */

import { post, upload } from "../base/api.js";
import { byId, el, format, replace } from "../base/dom.js";
import { bindKeys } from "../base/keys.js";

const percent = (value) => format.percent(value, 1);
let latest; // only its answer is shown

/** Listen to the file field, to drops and pasted pictures, and to the form. */
export function startAsking() {
  const file = byId("file");
  const { source, frames } = byId("source").elements;
  const send = (blob) => blob && ask(blob.name, (onProgress) => upload("/recognitions/upload", blob, onProgress));
  file.onchange = () => (send(file.files[0]), (file.value = ""));
  for (const name of ["dragover", "dragleave", "drop"]) {
    byId("ask").addEventListener(name, (event) => {
      event.preventDefault();
      byId("drop").classList.toggle("over", name === "dragover");
      if (name === "drop") send(event.dataTransfer.files[0]);
    });
  }
  document.onpaste = ({ clipboardData }) => send(clipboardData.files[0]);
  byId("source").onsubmit = (event) => {
    event.preventDefault();
    ask(source.value, () => post("/recognitions", { source: source.value.trim(), frames: Number(frames.value) }));
  };
  bindKeys([
    { key: "o", label: "open a picture or a clip", run: () => file.click() },
    { key: "/", label: "ask about an address", run: () => source.focus() },
  ]);
}

async function ask(name, request) {
  const turn = (latest = {});
  const tell = (text, fraction) => {
    byId("progress-text").textContent = text;
    if (fraction) byId("bar").value = fraction;
    else byId("bar").removeAttribute("value");
  };
  const show = (answer, error) => {
    if (turn !== latest) return;
    byId("progress").hidden = Boolean(answer || error);
    byId("error").hidden = !error;
    byId("error").textContent = error;
    replace(byId("answer"), answer ? toAnswer(name, answer) : null);
  };
  show();
  tell("Looking…");
  try {
    show(await request((part) => turn === latest && tell(part < 1 ? `Sending: ${format.percent(part)}` : "Looking…", part % 1)));
  } catch (error) {
    show(null, error.detail ?? String(error));
  }
}

function toAnswer(name, { events, pictures }) {
  const verdict = events.pop();
  const { known, game, closest } = verdict;
  return [
    el("div", {},
      el("p", { class: "muted name", text: name }),
      el("p", { class: "verdict name", text: known ? game.name : "Unknown" }),
      el("p", { class: "name", text: known ? `${percent(verdict.confidence)} mean probability over ${format.plural(verdict.frames, "frame")}`
        : `It resembles no game that the model knows. The closest is ${closest.name}.` })),
    el("ol", { class: "ranking" }, verdict.top.map((each) => el("li", { style: { "--value": each.confidence } },
      el("span", { class: "name", text: each.name }), percent(each.confidence)))),
    el("ul", { class: "frames" }, events.map((frame, at) => el("li", {},
      el("img", { src: `data:image/jpeg;base64,${pictures[at]}`, alt: `Frame ${frame.number}` }),
      el("p", { class: "name", text: `${frame.closest.name} ${format.percent(frame.confidence)}` }),
      frame.known ? null : el("span", { class: "badge warning", text: "unknown" })))),
  ];
}
