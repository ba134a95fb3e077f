/** Requests to the API. Paths are relative to /api/v1; answers are parsed JSON. */

const ROOT = "/api/v1";

/** An error of the API. A status of 0: the server was not reached. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    Object.assign(this, { status, detail });
  }
}

/** Return the URL of an operation. Parameters that are null, "" or empty lists are left out; lists are repeated. */
export function url(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const item of [value].flat()) if ((item ?? "") !== "") query.append(name, item);
  }
  return ROOT + path + (query.size ? `?${query}` : "");
}

/** Read, send JSON, delete. `options` are those of fetch, such as {signal}. */
export const get = (path, params, options) => request("GET", url(path, params), undefined, options);
export const post = (path, body, options) => request("POST", url(path), body ?? {}, options);
export const remove = (path, options) => request("DELETE", url(path), undefined, options);

/** Send a file as the body; `onProgress(fraction)` is called while it is sent. */
export function upload(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest(); // fetch reports no progress
    sent.open("POST", url(path));
    sent.setRequestHeader("X-CSRF-Token", csrfToken());
    sent.setRequestHeader("Content-Type", "application/octet-stream");
    sent.upload.onprogress = ({ loaded }) => onProgress(loaded / (file.size || 1));
    sent.onload = () => (sent.status < 300 ? resolve : reject)(answer(sent.status, sent.responseText));
    sent.onerror = () => reject(unreachable());
    sent.send(file);
  });
}

async function request(method, address, body, options = {}) {
  const headers = {};
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address, { method, headers, body: body && JSON.stringify(body), ...options });
  } catch (error) {
    throw error.name === "AbortError" ? error : unreachable();
  }
  const result = answer(response.status, await response.text());
  if (response.ok) return result;
  if (response.status === 401 && location.pathname !== "/login") {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  throw result;
}

const csrfToken = () => document.querySelector('meta[name="csrf-token"]').content;
const unreachable = () => new ApiError(0, "The server does not answer. Is it running?");

/** Return the parsed text, or the error that it describes. */
function answer(status, text) {
  let body = null;
  try {
    body = text && JSON.parse(text);
  } catch {
    // Not the API's answer.
  }
  return status < 300 ? body : new ApiError(status, body?.detail ?? `The server answered ${status}.`);
}
